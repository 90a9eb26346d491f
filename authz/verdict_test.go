package authz

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tpgate/limiter"
	"tpgate/store"
)

func mustLimit(t testing.TB, text string) limiter.Limit {
	t.Helper()
	limit, err := limiter.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}

// quotaLines are the rate-limit headers, with a pattern for what the clock says.
func quotaLines(scope, permits, length, remaining, wait string) []string {
	return []string{
		`RateLimit: "` + scope + `";r=` + remaining + `;t=` + wait, `RateLimit-Policy: "` + scope + `";q=` + permits + `;w=` + length,
		`X-RateLimit-Limit: ` + permits, `X-RateLimit-Remaining: ` + remaining, `X-RateLimit-Reset: \d{10}`,
	}
}

// verdictCase is one line of the table: what a credential is answered, with every header there is. Header values are regular expressions.
type verdictCase struct {
	name    string
	lines   []string
	status  int
	body    string
	headers []string
}

const (
	challengeBare   = `WWW-Authenticate: Bearer realm="api"`
	challengeToken  = `WWW-Authenticate: Bearer realm="api", error="invalid_token"`
	bodyMissing     = `{"name":"missing_api_key","message":"Missing API key."}`
	bodyInvalid     = `{"name":"invalid_api_key","message":"Invalid API key."}`
	bodyExpired     = `{"name":"expired_api_key","message":"API key has expired."}`
	bodySuspended   = `{"name":"workspace_suspended","message":"This workspace is suspended."}`
	bodyUnavailable = `{"name":"auth_unavailable","message":"Authentication is temporarily unavailable."}`
)

func verdictCases(g *gate) []verdictCase {
	t := g.t
	past := func(k *store.Key) { k.ExpiresAt = time.Now().Add(-time.Second) }
	disabled := func(k *store.Key) { k.Disabled = true }
	limit := func(text string) func(*store.Key) { return func(k *store.Key) { k.Limit = mustLimit(t, text) } }
	free, freeSecret := g.key("acme", nil)
	counted, countedSecret := g.key("acme", limit("60/1m"))
	both, bothSecret := g.key("acme", limit("60/1m,2/500ms"))
	_, blocked := g.key("acme", limit("0/90s"))
	_, expiredSecret := g.key("acme", past)
	_, disabledSecret := g.key("acme", disabled)
	_, disabledAndExpired := g.key("acme", func(k *store.Key) { past(k); disabled(k) })
	_, expiredAndBlocked := g.key("acme", func(k *store.Key) { past(k); limit("0/1m")(k) })
	shared, sharedSecret := g.key("shared", nil)
	if _, err := g.store.UpdateWorkspace(t.Context(), "shared", func(w *store.Workspace) error { w.Limit = mustLimit(t, "5/1h"); return nil }); err != nil {
		t.Fatal(err)
	}
	_, suspendedSecret := g.key("quiet", nil)
	_, suspendedAndExpired := g.key("quiet", past)
	_, suspendedAndBlocked := g.key("quiet", limit("0/1m"))
	g.suspend("quiet")
	deleted, deletedSecret := g.key("acme", nil)
	if err := g.store.DeleteKey(t.Context(), "acme", deleted.ID); err != nil {
		t.Fatal(err)
	}
	identity := func(k store.Key) []string { return []string{"X-Workspace-Id: " + k.Workspace, "X-Api-Key-Id: " + k.ID} }
	limitedBody := `{"name":"rate_limit_exceeded","message":"Rate limit exceeded. Please retry after 90 seconds.","retry_after_seconds":90}`
	invalidHeaders := []string{challengeToken}
	return []verdictCase{
		{"allowed, no limit", []string{bearerLine(freeSecret)}, 200, "", identity(free)},
		{"allowed, quota of the key", []string{bearerLine(countedSecret)}, 200, "", append(identity(counted), quotaLines("key", "60", "60", "59", "60")...)},
		{"allowed, the window closest to its end", []string{bearerLine(bothSecret)}, 200, "", append(identity(both), quotaLines("key", "2", "1", "1", "1")...)},
		{"allowed, quota of the workspace", []string{bearerLine(sharedSecret)}, 200, "", append(identity(shared), quotaLines("workspace", "5", "3600", "4", "3600")...)},
		{"allowed, small scheme", []string{"authorization: bearer " + freeSecret}, 200, "", identity(free)},
		{"allowed, capital scheme", []string{"AUTHORIZATION: BEARER " + freeSecret}, 200, "", identity(free)},
		{"missing", nil, 401, bodyMissing, []string{challengeBare}},
		{"invalid: empty header", []string{"Authorization:"}, 401, bodyInvalid, invalidHeaders},
		{"invalid: scheme alone", []string{"Authorization: Bearer"}, 401, bodyInvalid, invalidHeaders},
		{"invalid: no key", []string{"Authorization: Bearer "}, 401, bodyInvalid, invalidHeaders},
		{"invalid: two spaces", []string{"Authorization: Bearer  " + freeSecret}, 401, bodyInvalid, invalidHeaders},
		{"invalid: tab", []string{"Authorization: Bearer\t" + freeSecret}, 401, bodyInvalid, invalidHeaders},
		{"invalid: no space", []string{"Authorization: Bearer" + freeSecret}, 401, bodyInvalid, invalidHeaders},
		{"invalid: basic", []string{"Authorization: Basic dHBfOg=="}, 401, bodyInvalid, invalidHeaders},
		{"invalid: key alone", []string{"Authorization: " + freeSecret}, 401, bodyInvalid, invalidHeaders},
		{"invalid: joined", []string{bearerLine(freeSecret) + ", Bearer " + freeSecret}, 401, bodyInvalid, invalidHeaders},
		{"invalid: two headers", []string{bearerLine(freeSecret), bearerLine(countedSecret)}, 401, bodyInvalid, invalidHeaders},
		{"invalid: two headers, other order", []string{bearerLine(countedSecret), bearerLine(freeSecret)}, 401, bodyInvalid, invalidHeaders},
		{"invalid: the same twice", []string{bearerLine(freeSecret), bearerLine(freeSecret)}, 401, bodyInvalid, invalidHeaders},
		{"invalid: twice, other case", []string{bearerLine(freeSecret), "aUTHORIZATION: x"}, 401, bodyInvalid, invalidHeaders},
		{"invalid: first empty", []string{"Authorization:", bearerLine(freeSecret)}, 401, bodyInvalid, invalidHeaders},
		{"invalid: one short", []string{bearerLine(freeSecret[:50])}, 401, bodyInvalid, invalidHeaders},
		{"invalid: one more", []string{bearerLine(freeSecret + "A")}, 401, bodyInvalid, invalidHeaders},
		{"invalid: other prefix", []string{bearerLine("TP_" + freeSecret[3:])}, 401, bodyInvalid, invalidHeaders},
		{"invalid: other alphabet", []string{bearerLine(freeSecret[:50] + "=")}, 401, bodyInvalid, invalidHeaders},
		{"invalid: 5,000 characters", []string{bearerLine("tp_" + strings.Repeat("A", 5000))}, 401, bodyInvalid, invalidHeaders},
		{"invalid: unknown", []string{bearerLine(g.tokens.New())}, 401, bodyInvalid, invalidHeaders},
		{"invalid: deleted", []string{bearerLine(deletedSecret)}, 401, bodyInvalid, invalidHeaders},
		{"invalid: disabled", []string{bearerLine(disabledSecret)}, 401, bodyInvalid, invalidHeaders},
		{"invalid: disabled and expired", []string{bearerLine(disabledAndExpired)}, 401, bodyInvalid, invalidHeaders},
		{"expired", []string{bearerLine(expiredSecret)}, 401, bodyExpired, invalidHeaders},
		{"expired, quota used up", []string{bearerLine(expiredAndBlocked)}, 401, bodyExpired, invalidHeaders},
		{"expired, workspace suspended", []string{bearerLine(suspendedAndExpired)}, 401, bodyExpired, invalidHeaders},
		{"suspended", []string{bearerLine(suspendedSecret)}, 403, bodySuspended, nil},
		{"suspended, quota used up", []string{bearerLine(suspendedAndBlocked)}, 403, bodySuspended, nil},
		{"limited", []string{bearerLine(blocked)}, 429, limitedBody, append([]string{"Retry-After: 90"}, quotaLines("key", "0", "90", "0", "90")...)},
	}
}

func TestVerdicts(t *testing.T) {
	g := newGate(t, nil)
	for _, test := range verdictCases(g) {
		t.Run(test.name, func(t *testing.T) { test.compare(t, g.ask(get("/verify", test.lines...)), nil) })
	}
}

// TestNginxPrefix asks the same with the prefix: a denial has its body in a header too, and nothing else is different.
func TestNginxPrefix(t *testing.T) {
	for _, path := range []string{"/nginx", "/nginx/verify?x=1", "/nginxx"} {
		g := newGate(t, nil) // as windows are used up
		for _, test := range verdictCases(g) {
			var more []string
			if test.body != "" {
				more = []string{"X-Auth-Body: " + regexp.QuoteMeta(test.body)}
			}
			t.Run(path+" "+test.name, func(t *testing.T) { test.compare(t, g.ask(get(path, test.lines...)), more) })
		}
	}
	g := newGate(t, nil)
	for _, path := range []string{"/", "/Nginx", "/x/nginx", "//nginx", "/?/nginx", "/%6eginx", "/ngin%78", "/./nginx"} {
		if _, n := g.ask(get(path)).header("X-Auth-Body"); n != 0 {
			t.Errorf("%s repeats the body", path)
		}
	}
}

// compare checks an answer to the last byte, with more headers than the table has.
func (c verdictCase) compare(t *testing.T, got reply, more []string) {
	t.Helper()
	if got.status != c.status || got.body != c.body || len(got.body) > 256 {
		t.Errorf("%d %q, want %d %q", got.status, got.body, c.status, c.body)
	}
	want := slices.Concat(c.headers, more, []string{"Cache-Control: no-store", "Content-Length: " + length(c.body)})
	if c.body != "" {
		want = append(want, "Content-Type: application/json")
		if !json.Valid([]byte(got.body)) {
			t.Errorf("%q is not JSON", got.body)
		}
	}
	slices.Sort(want)
	if len(want) != len(got.headers) {
		t.Fatalf("headers\n%s\nwant\n%s", strings.Join(got.headers, "\n"), strings.Join(want, "\n"))
	}
	for i, pattern := range want {
		if !regexp.MustCompile("^" + pattern + "$").MatchString(got.headers[i]) {
			t.Errorf("header %s, want %s", got.headers[i], pattern)
		}
	}
}

func length(body string) string { return strconv.Itoa(len(body)) }
