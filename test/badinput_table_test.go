package test

import "strings"

// badInput is exact bytes for the data listener, and the status of their answer.
type badInput struct {
	name    string // what is sent
	request string // {K} is a live key, {L} one of another workspace, {H} a Host line, {A} the admin listener's address
	status  int    // 200 always means {K}'s own workspace
	ends    bool   // nothing after it may be answered
}

// with is a request with {K} as it should be, and more header lines; bare is one without a key.
func with(lines string) string {
	return "GET / HTTP/1.1\r\n{H}Authorization: Bearer {K}\r\n" + lines + "\r\n"
}
func bare(lines string) string { return "GET / HTTP/1.1\r\n{H}" + lines + "\r\n" }

// authorization is a request with this one value.
func authorization(value string) string { return bare("Authorization: " + value + "\r\n") }

// target is a request with this target, or line, and no key.
func target(text string) string { return "GET " + text + " HTTP/1.1\r\n{H}\r\n" }

const (
	inFull = "Authorization: Bearer {K}\r\n"
	other  = "Authorization: Bearer {L}\r\n"
	post   = "POST / HTTP/1.1\r\n{H}Authorization: Bearer {K}\r\n"
)

// badInputs is all that a table can hold; what needs time or many requests is in badinput_test.go. Where nothing else is said, the connection may go on or end.
var badInputs = map[string][]badInput{
	"no key, and a path that may be public elsewhere": {
		{"healthz", target("/healthz"), 401, false},
		{"metrics", target("/metrics"), 401, false},
		{"readyz", target("/readyz"), 401, false},
		{"livez", target("/livez"), 401, false},
		{"root", target("/"), 401, false},
		{"nginx", target("/nginx"), 401, false},
		{"dots", target("/verify/../healthz"), 401, false},
		{"encoded slash", target("/..%2fhealthz"), 401, false},
		{"encoded dots", target("/%2e%2e/healthz"), 401, false},
		{"two slashes", target("//healthz"), 401, false},
		{"encoded NUL", target("/healthz%00"), 401, false},
		{"key in the query", target("/?api_key={K}&access_token={K}"), 401, false},
		{"key in the path", target("/{K}"), 401, false},
		{"absolute form", target("http://{A}/v1/workspaces"), 401, false},
		{"absolute form with a key as password", target("http://x:{K}@{A}/"), 401, false},
	},
	"two keys": {
		{"K, L", bare(inFull + other), 401, false},
		{"L, K", bare(other + inFull), 401, false},
		{"K, K", bare(inFull + inFull), 401, false},
		{"lower case", bare("authorization: Bearer {K}\r\n" + other), 401, false},
		{"upper case", bare(inFull + "AUTHORIZATION: Bearer {L}\r\n"), 401, false},
		{"K and an empty one", bare(inFull + "Authorization:\r\n"), 401, false},
		{"joined with a comma", authorization("Bearer {K}, Bearer {L}"), 401, false},
		{"joined with a comma, K only", authorization("Bearer {K},"), 401, false},
	},
	"scheme": {
		{"lower case", authorization("bearer {K}"), 200, false},
		{"upper case", authorization("BEARER {K}"), 200, false},
		{"two spaces", authorization("Bearer  {K}"), 401, false},
		{"tab", authorization("Bearer\t{K}"), 401, false},
		{"no space", authorization("Bearer{K}"), 401, false},
		{"nothing else", authorization("Bearer"), 401, false},
		{"a space and nothing else", authorization("Bearer "), 401, false},
		{"empty", bare("Authorization:\r\n"), 401, false},
		{"basic", authorization("Basic dHBfOng="), 401, false},
		{"token", authorization("Token {K}"), 401, false},
		{"key alone", authorization("{K}"), 401, false},
		{"twice", authorization("Bearer Bearer {K}"), 401, false},
		{"other headers", bare("X-Api-Key: {K}\r\nProxy-Authorization: Bearer {K}\r\nCookie: authorization={K}\r\nX-Authorization: Bearer {K}\r\n"), 401, false},
		{"underscore", bare("Authorization_: Bearer {K}\r\n"), 401, false},
	},
	"key": {
		{"47 characters", authorization("Bearer tp_" + strings.Repeat("x", 47)), 401, false},
		{"49 characters", authorization("Bearer {K}x"), 401, false},
		{"5,000 characters", authorization("Bearer {K}" + strings.Repeat("x", 5000)), 401, false},
		{"70,000 characters", authorization("Bearer {K}" + strings.Repeat("x", 70000)), 431, true},
		{"prefix alone", authorization("Bearer tp_"), 401, false},
		{"upper-case prefix", authorization("Bearer TP_" + strings.Repeat("x", 48)), 401, false},
		{"dash in the prefix", authorization("Bearer tp-" + strings.Repeat("x", 48)), 401, false},
		{"é", authorization("Bearer tp_" + strings.Repeat("x", 47) + "é"), 401, false},
		{"%41", authorization("Bearer {K}%41"), 401, false},
		{"DEL", authorization("Bearer {K}\x7f"), 400, true},
		{"=", authorization("Bearer {K}="), 401, false},
		{"0xFF", authorization("Bearer {K}\xff"), 401, false},
		{"parameter", authorization("Bearer {K};x=y"), 401, false},
		{"quoted", authorization(`Bearer "{K}"`), 401, false},
		{"space and more", authorization("Bearer {K} x"), 401, false},
	},
	"header lines": {
		{"NUL in the value", authorization("Bearer {K}\x00"), 400, true},
		{"NUL in the name", bare("Authoriza\x00tion: Bearer {K}\r\n"), 400, true},
		{"bare CR", authorization("Bearer {K}\rX: y"), 400, true},
		{"space before the colon", bare("Authorization : Bearer {K}\r\n"), 400, true},
		{"tab before the colon", bare("Authorization\t: Bearer {K}\r\n"), 400, true},
		{"space before the first line", "GET / HTTP/1.1\r\n Authorization: Bearer {K}\r\n{H}\r\n", 400, true},
		{"no colon", bare(inFull + "Nonsense\r\n"), 400, true},
		{"no name", bare(inFull + ": x\r\n"), 400, true},
		{"folded value: one space when unfolded", bare("Authorization: Bearer\r\n {K}\r\n"), 200, false},
		{"folded key", bare("Authorization: Bearer tp_\r\n {K}\r\n"), 401, false},
		{"hidden in a folded line", bare("X: 1\r\n\tAuthorization: Bearer {K}\r\n"), 401, false},
		{"ended by LF, with a key", "GET / HTTP/1.1\r\nHost: h\nAuthorization: Bearer {K}\nX: y\r\n\r\n", 200, false},
		{"ended by LF, without", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 401, false},
	},
	"announced bodies": {
		{"length and chunks", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 200, true},
		{"chunks and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG", 200, true},
		{"two lengths", post + "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400, true},
		{"lengths in a list", post + "Content-Length: 3, 3\r\n\r\nabc", 400, true},
		{"signed length", post + "Content-Length: +3\r\n\r\nabc", 400, true},
		{"negative length", post + "Content-Length: -1\r\n\r\n", 400, true},
		{"hexadecimal length", post + "Content-Length: 0x3\r\n\r\nabc", 400, true},
		{"endless length", post + "Content-Length: 99999999999999999999\r\n\r\n", 400, true},
		{"unknown coding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, true},
		{"two codings", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, true},
		{"two coding lines", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400, true},
		{"vertical tab before the coding", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, true},
		{"coding on HTTP/1.0", "POST / HTTP/1.0\r\n{H}" + inFull + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true},
		{"LF in a chunk's extension", post + "Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n", 200, true},
		{"hexadecimal chunk", post + "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 200, true},
		{"chunks ended by LF", post + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n", 200, true},
		{"key in the trailer", "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\n" + inFull + "\r\n", 400, true},
		{"key in the body", "POST / HTTP/1.1\r\n{H}Content-Length: 90\r\n\r\nGET / HTTP/1.1\r\n" + inFull + "\r\n", 401, true},
		{"expectation", post + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 200, true},
		{"unknown expectation", post + "Expect: 200-maybe\r\nContent-Length: 5\r\n\r\n", 200, true},
		{"none comes", with("Content-Length: 10\r\n"), 200, true},
		{"none comes, no key", bare("Content-Length: 10\r\n"), 401, true},
		{"of no bytes", with("Content-Length: 0\r\n"), 200, false},
	},
	"headers that mean something to others, with a key": {
		{"connection lists the key", with("Connection: close, Authorization\r\n"), 200, true},
		{"connection lists the identity", with("Connection: X-Workspace-Id, X-Api-Key-Id\r\n"), 200, false},
		{"identity", with("X-Workspace-Id: evil\r\nX-Api-Key-Id: evil\r\n"), 200, false},
		{"identity, other spellings", with("X_Workspace_Id: evil\r\nX.Workspace.Id: evil\r\nx-workspace-id: evil\r\nx-workspace-id: evil\r\n"), 200, false},
		{"upgrade to HTTP/2", with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), 200, false},
		{"upgrade to a web socket", with("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"), 200, false},
		{"host is the admin listener", "GET /v1/workspaces HTTP/1.1\r\nHost: {A}\r\n" + inFull + "\r\n", 200, false},
		{"range", with("Range: bytes=0-1\r\nIf-None-Match: *\r\nIf-Modified-Since: Wed, 21 Oct 2037 07:28:00 GMT\r\n"), 200, false},
	},
	"headers that mean something to others, without": {
		{"forwarded path", bare("X-Forwarded-Uri: /public\r\nX-Original-URL: /public\r\nX-Rewrite-URL: /public\r\nX-Forwarded-Prefix: /public\r\n"), 401, false},
		{"forwarded method", bare("X-Forwarded-Method: OPTIONS\r\nX-HTTP-Method-Override: OPTIONS\r\nX-Original-Method: OPTIONS\r\n"), 401, false},
		{"forwarded aliases", bare("X_Forwarded_Proto: https\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n"), 401, false},
		{"identity", bare("X-Workspace-Id: alpha\r\nX-Api-Key-Id: x\r\n"), 401, false},
		{"probe", bare("User-Agent: kube-probe/1.30\r\n"), 401, false},
		{"another probe", bare("User-Agent: GoogleHC/1.0\r\n"), 401, false},
		{"no agent", bare("User-Agent:\r\n"), 401, false},
	},
	"host": {
		{"two", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + inFull + "\r\n", 400, true},
		{"none", "GET / HTTP/1.1\r\n" + inFull + "\r\n", 400, true},
		{"no host's name", "GET / HTTP/1.1\r\nHost: a/b@c\r\n" + inFull + "\r\n", 400, true},
	},
	"version": {
		{"9.9", "GET /v HTTP/9.9\r\n{H}\r\n", 401, true},
		{"1.2", "GET /v HTTP/1.2\r\n{H}\r\n", 401, true},
		{"lower case", "GET /v http/1.1\r\n{H}" + inFull + "\r\n", 400, true},
		{"0.9", "GET /v HTTP/0.9\r\n{H}\r\n", 401, true},
		{"0.9 with a key", "GET /v HTTP/0.9\r\n{H}" + inFull + "\r\n", 200, true}, // a check like any other
		{"none", "GET /\r\n{H}" + inFull + "\r\n", 400, true},
		{"2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, true},
	},
	"method": {
		{"TRACE", "TRACE / HTTP/1.1\r\n{H}\r\n", 401, false},
		{"CONNECT", "CONNECT h:443 HTTP/1.1\r\n{H}\r\n", 401, false},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\n{H}\r\n", 401, false},
		{"preflight", "OPTIONS / HTTP/1.1\r\n{H}Origin: http://a\r\nAccess-Control-Request-Method: GET\r\n\r\n", 401, false},
		{"lower case", "get / HTTP/1.1\r\n{H}\r\n", 401, false},
		{"TRACE with a key", "TRACE / HTTP/1.1\r\n{H}" + inFull + "\r\n", 200, false},
		{"none", " / HTTP/1.1\r\n{H}" + inFull + "\r\n", 400, true},
	},
	"other protocols": {
		{"PROXY", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n" + target("/"), 400, true},
		{"Redis", "*1\r\n$4\r\nPING\r\n", 400, true},
	},
}
