// Command floor answers every request as tpgate answers a check that is allowed, limited or of an unknown key, and decides nothing: what remains is what any HTTP server of this kind costs.
// Its settings and headers are those of package authz (http.go, answer.go), written once more, as the bench imports nothing of what it measures. Only ReduceMemoryUsage is not set, as it takes
// a system call more for each request from all who have no connection of their own kind (authz/conn.go): the floor is the cheapest that fasthttp has.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

// answer is what tpgate would say, header by header.
type answer struct {
	status  int
	headers [][2][]byte
	body    []byte
}

var (
	allowed = answer{fasthttp.StatusOK, headers(
		"RateLimit-Policy", `"key";q=1000000;w=60`, "RateLimit", `"key";r=999983;t=60`,
		"X-RateLimit-Limit", "1000000", "X-RateLimit-Remaining", "999983", "X-RateLimit-Reset", "1795458255",
		"Cache-Control", "no-store", "X-Workspace-Id", "bench-000", "X-Api-Key-Id", "5s4B9CkQe2oKq1Xw"), nil}
	limited = answer{fasthttp.StatusTooManyRequests, headers(
		"Retry-After", "2678399", "RateLimit-Policy", `"key";q=1;w=2678400`, "RateLimit", `"key";r=0;t=2678399`,
		"X-RateLimit-Limit", "1", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1798136655",
		"Cache-Control", "no-store", "Content-Type", "application/json"),
		[]byte(`{"name":"rate_limit_exceeded","message":"Rate limit exceeded. Please retry after 2678399 seconds.","retry_after_seconds":2678399}`)}
	unknown = answer{fasthttp.StatusUnauthorized, headers(
		"WWW-Authenticate", `Bearer realm="api", error="invalid_token"`, "Cache-Control", "no-store", "Content-Type", "application/json"),
		[]byte(`{"name":"invalid_api_key","message":"Invalid API key."}`)}
)

func headers(pairs ...string) (list [][2][]byte) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, [2][]byte{[]byte(pairs[i]), []byte(pairs[i+1])})
	}
	return list
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "where to answer")
	flag.Parse()
	if err := serve(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func serve(listen string) error {
	server := &fasthttp.Server{
		Handler:        say,
		HeaderReceived: skipBody,
		ReadTimeout:    2 * time.Second, WriteTimeout: 2 * time.Second, IdleTimeout: 100 * time.Second,
		ReadBufferSize:               64 << 10,
		MaxRequestBodySize:           1,
		Concurrency:                  1_000_000,
		CloseOnShutdown:              true,
		TCPKeepalive:                 true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true, NoDefaultDate: true, NoDefaultContentType: true,
		LazyRequestTime: true,
		Logger:          quiet{},
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	return server.Serve(ln)
}

// say answers by the path, which means nothing to tpgate.
func say(ctx *fasthttp.RequestCtx) {
	a := &allowed
	switch string(ctx.RequestURI()) {
	case "/limited":
		a = &limited
	case "/unknown":
		a = &unknown
	}
	for _, h := range a.headers {
		ctx.Response.Header.SetCanonical(h[0], h[1])
	}
	ctx.Response.SetStatusCode(a.status)
	ctx.Response.SetBody(a.body)
}

// skipBody is what tpgate does so that no announced body is waited for.
func skipBody(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	h.Del(fasthttp.HeaderExpect)
	if n := h.ContentLength(); n > 0 || n == -1 {
		h.SetContentLength(0)
		h.SetConnectionClose()
	}
	return fasthttp.RequestConfig{}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
