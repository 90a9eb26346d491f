package admin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tpgate/store"
)

// TestKeyShape holds the wire format, field by field.
func TestKeyShape(t *testing.T) {
	b := newBench(t)
	got := b.send("POST", "/v1/workspaces/acme/keys", `{"name":"ci","expires_at":"2030-01-31","limit":"5/1s"}`)
	pattern := `^\{"token":\{"id":"[A-Za-z0-9]{16}","workspace_id":"acme","name":"ci","key_hint":"tp_[A-Za-z0-9]{4}…","status":"active","limit":"5/1s",` +
		`"expires_at":"2030-01-31T23:59:59Z","last_used_at":null,"created_at":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z"\},"plain_token":"tp_[A-Za-z0-9]{48}"\}\n$`
	if got.status != 201 || !regexp.MustCompile(pattern).MatchString(got.body) {
		t.Fatalf("%d %s", got.status, got.body)
	}
	made := decode[NewKey](t, got)
	if !strings.HasPrefix(*made.Secret, strings.TrimSuffix(made.Token.Hint, "…")) || strings.Contains(*made.Secret, made.Token.ID) {
		t.Errorf("hint or id and secret: %s", got.body)
	}
	const bare = `"key_hint":"tp_....…","status":"active","limit":null,"expires_at":null,"last_used_at":null`
	if got := b.send("POST", "/v1/workspaces/acme/keys", `{"name":"ci"}`); !regexp.MustCompile(bare).MatchString(got.body) {
		t.Errorf("%s", got.body)
	}
	for _, path := range []string{"/v1/workspaces/acme/keys/" + made.Token.ID, "/v1/workspaces/acme/keys"} {
		shown := b.send("GET", path, "")
		if !strings.Contains(shown.body, strings.TrimSuffix(encoded(t, made.Token), "}")) || strings.Contains(shown.body, (*made.Secret)[7:]) {
			t.Errorf("%s: %s", path, shown.body)
		}
	}
}

func encoded(t *testing.T, value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKeysOfOthersAreNotFound(t *testing.T) {
	b := newBench(t)
	id := b.create("acme", `{"name":"ci"}`).Token.ID
	b.create("other", `{"name":"ci"}`)
	for _, place := range []string{"other/keys/" + id, "nobody/keys/" + id, "acme/keys/" + id + "x", "acme/keys/x"} {
		for _, call := range []struct{ method, suffix, body string }{{"GET", "", ""}, {"PATCH", "", `{"name":"new"}`}, {"PATCH", "", `{}`}, {"DELETE", "", ""}, {"POST", "/rotate", `{}`}} {
			if got := b.send(call.method, "/v1/workspaces/"+place+call.suffix, call.body); got.status != 404 || got.body != "{\"message\":\"Not found.\"}\n" {
				t.Errorf("%s %s: %d %s", call.method, place, got.status, got.body)
			}
		}
	}
}

// TestPatch holds what each change does to the key and to the next check.
func TestPatch(t *testing.T) {
	b := newBench(t)
	made := b.create("acme", `{"name":"ci"}`)
	for _, step := range []struct {
		body, want string // of the answer
		verdict    store.Verdict
	}{
		{`{}`, `"name":"ci"`, store.Allowed},
		{`{"name":"new"}`, `"name":"new"`, store.Allowed},
		{`{"disabled":true}`, `"status":"disabled"`, store.Disabled},
		{`{"expires_at":"2020-01-01"}`, `"status":"disabled"`, store.Disabled},
		{`{"disabled":false}`, `"status":"expired"`, store.Expired},
		{`{"expires_at":null}`, `"status":"active","limit":null,"expires_at":null`, store.Allowed},
		{`{"expires_at":"0000-01-01T00:00:00Z"}`, `"status":"expired","limit":null,"expires_at":"1970-01-01T00:00:00.001Z"`, store.Expired},
		{`{"expires_at":"2099-01-01"}`, `"expires_at":"2099-01-01T23:59:59Z"`, store.Allowed},
		{`{"limit":"0/1m"}`, `"limit":"0/1m"`, store.Limited},
		{`{"name":"newer"}`, `"name":"newer"`, store.Limited},
		{`{"limit":null}`, `"limit":null`, store.Allowed},
	} {
		got := b.send("PATCH", "/v1/workspaces/acme/keys/"+made.Token.ID, step.body)
		if got.status != 200 || !strings.Contains(got.body, step.want) || strings.Contains(got.body, "plain_token") {
			t.Errorf("%s: %d %s", step.body, got.status, got.body)
		}
		if v := b.verify(*made.Secret); v != step.verdict {
			t.Errorf("%s: the next check is %d, want %d", step.body, v, step.verdict)
		}
	}
}

func TestPatchesOfDifferentFieldsLoseNothing(t *testing.T) {
	b := newBench(t)
	id := b.create("acme", `{"name":"ci"}`).Token.ID
	var all sync.WaitGroup
	for _, body := range []string{`{"name":"new"}`, `{"limit":"7/1m"}`, `{"expires_at":"2030-01-31"}`, `{"disabled":true}`} {
		for range 10 {
			all.Go(func() {
				if got := b.send("PATCH", "/v1/workspaces/acme/keys/"+id, body); got.status != 200 {
					t.Errorf("%s: %d %s", body, got.status, got.body)
				}
			})
		}
		all.Go(func() {
			if got := b.send("POST", "/v1/workspaces/acme/keys/"+id+"/rotate", ""); got.status != 200 {
				t.Errorf("rotate: %d %s", got.status, got.body)
			}
		})
	}
	all.Wait()
	key := decode[Key](t, b.send("GET", "/v1/workspaces/acme/keys/"+id, ""))
	if key.Name != "new" || or(key.Limit) != "7/1m" || or(key.ExpiresAt) != "2030-01-31T23:59:59Z" || key.Status != store.StatusDisabled {
		t.Errorf("%+v", key)
	}
}

func TestRotate(t *testing.T) {
	b := newBench(t)
	made := b.create("acme", `{"name":"ci","limit":"1000/1m"}`)
	rotate := func(body string) string {
		t.Helper()
		got := b.send("POST", "/v1/workspaces/acme/keys/"+made.Token.ID+"/rotate", body)
		rotated := decode[NewKey](t, got)
		if got.status != 200 || rotated.Token.ID != made.Token.ID || rotated.Token.Name != "ci" || *rotated.Token.CreatedAt != *made.Token.CreatedAt || or(rotated.Token.Limit) != "1000/1m" {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if !strings.HasPrefix(*rotated.Secret, strings.TrimSuffix(rotated.Token.Hint, "…")) {
			t.Errorf("the hint %s is not the new secret's", rotated.Token.Hint)
		}
		return *rotated.Secret
	}
	expect := func(want map[string]store.Verdict) {
		t.Helper()
		for secret, verdict := range want {
			if got := b.verify(secret); got != verdict {
				t.Errorf("%s…: verdict %d, want %d", secret[:7], got, verdict)
			}
		}
	}
	first := *made.Secret
	second := rotate("")
	expect(map[string]store.Verdict{first: store.Unknown, second: store.Allowed})
	third := rotate(`{"overlap":"24h"}`)
	expect(map[string]store.Verdict{second: store.Allowed, third: store.Allowed})
	fourth := rotate(`{"overlap":"7d"}`)
	expect(map[string]store.Verdict{second: store.Unknown, third: store.Allowed, fourth: store.Allowed})
	fifth := rotate(`{"overlap":"0s"}`)
	expect(map[string]store.Verdict{first: store.Unknown, second: store.Unknown, third: store.Unknown, fourth: store.Unknown, fifth: store.Allowed})
	sixth := rotate(`{"overlap":"30ms"}`)
	time.Sleep(40 * time.Millisecond) // the overlap ends by the clock
	expect(map[string]store.Verdict{fifth: store.Unknown, sixth: store.Allowed})
	seventh := rotate(`{"overlap":null}`)
	expect(map[string]store.Verdict{sixth: store.Unknown, seventh: store.Allowed})
	eighth := rotate(`{"overlap":"1h"}`)
	b.send("DELETE", "/v1/workspaces/acme/keys/"+made.Token.ID, "")
	expect(map[string]store.Verdict{seventh: store.Unknown, eighth: store.Unknown})
}

func TestDelete(t *testing.T) {
	b := newBench(t)
	var secrets []string
	var ids []string
	for i := range 5 {
		made := b.create("acme", fmt.Sprintf(`{"name":"%d"}`, i))
		secrets, ids = append(secrets, *made.Secret), append(ids, made.Token.ID)
	}
	kept := *b.create("other", `{"name":"kept"}`).Secret
	for _, status := range []int{204, 404} {
		got := b.send("DELETE", "/v1/workspaces/acme/keys/"+ids[0], "")
		if got.status != status || status == 204 && (got.body != "" || got.header.Get("Content-Type") != "") {
			t.Errorf("%d %s, want %d", got.status, got.body, status)
		}
	}
	if b.verify(secrets[0]) != store.Unknown || b.verify(secrets[1]) != store.Allowed {
		t.Error("not the one key is gone")
	}
	for range 2 { // no keys are no error
		if got := b.send("DELETE", "/v1/workspaces/acme/keys", ""); got.status != 204 || got.body != "" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	for _, secret := range secrets {
		if v := b.verify(secret); v != store.Unknown {
			t.Errorf("verdict %d after all keys were deleted", v)
		}
	}
	if b.verify(kept) != store.Allowed {
		t.Error("another workspace's key is gone")
	}
	if got := b.send("GET", "/v1/workspaces/acme", ""); got.body != `{"id":"acme","limit":null,"suspended":false,"keys":0}`+"\n" {
		t.Errorf("%s", got.body)
	}
	if got := b.send("GET", "/v1/workspaces/acme/keys", ""); got.body != "[]\n" {
		t.Errorf("%s", got.body)
	}
}

func TestWorkspaces(t *testing.T) {
	b := newBench(t)
	b.create("acme", `{"name":"ci"}`)
	secret := *b.create("acme", `{"name":"cd"}`).Secret
	for _, step := range []struct {
		method, body, want string
		verdict            store.Verdict
	}{
		{"GET", "", `{"id":"acme","limit":null,"suspended":false,"keys":2}`, store.Allowed},
		{"PATCH", `{"suspended":true}`, `{"id":"acme","limit":null,"suspended":true,"keys":2}`, store.Suspended},
		{"PATCH", `{"limit":"0/1m"}`, `{"id":"acme","limit":"0/1m","suspended":true,"keys":2}`, store.Suspended},
		{"PATCH", `{"suspended":false}`, `{"id":"acme","limit":"0/1m","suspended":false,"keys":2}`, store.Limited},
		{"PATCH", `{}`, `{"id":"acme","limit":"0/1m","suspended":false,"keys":2}`, store.Limited},
		{"PATCH", `{"limit":"off"}`, `{"id":"acme","limit":"off","suspended":false,"keys":2}`, store.Allowed},
		{"PATCH", `{"limit":null}`, `{"id":"acme","limit":null,"suspended":false,"keys":2}`, store.Allowed},
	} {
		if got := b.send(step.method, "/v1/workspaces/acme", step.body); got.status != 200 || got.body != step.want+"\n" {
			t.Errorf("%s %s: %d %s", step.method, step.body, got.status, got.body)
		}
		if v := b.verify(secret); v != step.verdict {
			t.Errorf("%s %s: the next check is %d, want %d", step.method, step.body, v, step.verdict)
		}
	}
	if got := b.send("GET", "/v1/workspaces/never-heard-of", ""); got.body != `{"id":"never-heard-of","limit":null,"suspended":false,"keys":0}`+"\n" {
		t.Errorf("every well-formed workspace exists: %d %s", got.status, got.body)
	}
	if got := b.send("GET", "/v1/workspaces", ""); strings.Contains(got.body, "never-heard-of") || !strings.Contains(got.body, `"id":"acme"`) {
		t.Errorf("%s", got.body)
	}
}

// TestStoreFailure ends the store's file under the API: changes are 503, and say that the store could not, but not why.
func TestStoreFailure(t *testing.T) {
	b := newBench(t)
	id := b.create("acme", `{"name":"ci"}`).Token.ID
	b.closeStore()
	const want = `{"message":"The store is not available. The change may or may not have been made: please look, and try again."}` + "\n"
	for _, call := range [][3]string{{"POST", "/keys", `{"name":"ci"}`}, {"PATCH", "/keys/" + id, `{"name":"new"}`}, {"POST", "/keys/" + id + "/rotate", ""}, {"DELETE", "/keys/" + id, ""}, {"DELETE", "/keys", ""}, {"PATCH", "", `{"suspended":true}`}} {
		got := b.send(call[0], "/v1/workspaces/acme"+call[1], call[2])
		if got.status != 503 || got.header.Get("Retry-After") != "1" || got.body != want || strings.Contains(got.body, "tp_") {
			t.Errorf("%s %s: %d %s", call[0], call[1], got.status, got.body)
		}
	}
}

func TestUsage(t *testing.T) {
	b := newBench(t)
	key := b.create("acme", `{"name":"ci","limit":"2/1h"}`)
	path := "/v1/workspaces/acme/keys/" + key.Token.ID + "/usage"
	if got := b.send("GET", path, ""); got.body != "[]\n" {
		t.Errorf("before its first use: %s", got.body)
	}
	for range 3 {
		b.verify(*key.Secret)
	}
	got := b.send("GET", path, "")
	list := decode[[]Usage](t, got)
	allowed, refused := 0, 0
	for _, u := range list { // two, if an hour has just ended
		hour, err := time.Parse(time.RFC3339, u.Hour)
		if err != nil || hour != hour.Truncate(time.Hour) || time.Since(hour) > time.Hour+time.Minute {
			t.Errorf("%s", got.body)
		}
		allowed, refused = allowed+u.Allowed, refused+u.Refused
	}
	if allowed != 2 || refused != 1 {
		t.Errorf("%s", got.body)
	}
	if got := b.send("GET", "/v1/workspaces/other/keys/"+key.Token.ID+"/usage", ""); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
}
