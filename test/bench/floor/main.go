// Command floor answers every request as tpgate answers an allowed check, and decides nothing: what remains is what any HTTP server of this kind costs.
// Its settings and headers are those of package authz (http.go, answer.go), written once more, as the bench imports nothing of what it measures.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

// headers are those of an allowed check, in its order and of its usual lengths.
var headers = [][2][]byte{
	{[]byte("RateLimit-Policy"), []byte(`"key";q=1000000;w=60`)},
	{[]byte("RateLimit"), []byte(`"key";r=999983;t=60`)},
	{[]byte("X-RateLimit-Limit"), []byte("1000000")},
	{[]byte("X-RateLimit-Remaining"), []byte("999983")},
	{[]byte("X-RateLimit-Reset"), []byte("1795458255")},
	{[]byte("Cache-Control"), []byte("no-store")},
	{[]byte("X-Workspace-Id"), []byte("bench-000")},
	{[]byte("X-Api-Key-Id"), []byte("5s4B9CkQe2oKq1Xw")},
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
		Handler:        answer,
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

func answer(ctx *fasthttp.RequestCtx) {
	for _, h := range headers {
		ctx.Response.Header.SetCanonical(h[0], h[1])
	}
	ctx.Response.SetStatusCode(fasthttp.StatusOK)
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
