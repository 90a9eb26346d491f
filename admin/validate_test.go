package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// quoted returns text as JSON.
func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

const (
	nameNeeded   = "The name field is required."
	nameType     = "The name field must be a string."
	nameLong     = "The name field must not be greater than 255 characters."
	nameControl  = "The name field must not contain control characters."
	limitType    = "The limit field must be a string."
	expiryForm   = "The expires at field must be a valid date: an RFC 3339 time, or YYYY-MM-DD for the end of that day in UTC."
	expiryPast   = "The expires at field must be a date after now."
	overlapForm  = "The overlap field must be a duration from 0s to 7d, such as 24h."
	disabledForm = "The disabled field must be true or false."
)

// TestValidation has every sentence of a 422: the body is the message, which is the first sentence and how many more there are, and the sentences by field.
func TestValidation(t *testing.T) {
	b := newBench(t)
	id := b.create("acme", `{"name":"ci"}`).Token.ID
	const create, update, rotate, workspace = "POST /keys", "PATCH /keys/ID", "POST /keys/ID/rotate", "PATCH "
	for name, test := range map[string]struct{ call, body, want string }{
		"no body":             {create, ``, `{"message":"` + nameNeeded + `","errors":{"name":["` + nameNeeded + `"]}}`},
		"no name":             {create, `{}`, `{"message":"` + nameNeeded + `","errors":{"name":["` + nameNeeded + `"]}}`},
		"empty name":          {create, `{"name":""}`, `{"message":"` + nameNeeded + `","errors":{"name":["` + nameNeeded + `"]}}`},
		"null name":           {update, `{"name":null}`, `{"message":"` + nameNeeded + `","errors":{"name":["` + nameNeeded + `"]}}`},
		"name is a number":    {create, `{"name":1}`, `{"message":"` + nameType + `","errors":{"name":["` + nameType + `"]}}`},
		"name is an object":   {update, `{"name":{"a":1}}`, `{"message":"` + nameType + `","errors":{"name":["` + nameType + `"]}}`},
		"256 characters":      {create, `{"name":` + quoted(strings.Repeat("é", 256)) + `}`, `{"message":"` + nameLong + `","errors":{"name":["` + nameLong + `"]}}`},
		"10,000 emoji":        {update, `{"name":` + quoted(strings.Repeat("😀", 10_000)) + `}`, `{"message":"` + nameLong + `","errors":{"name":["` + nameLong + `"]}}`},
		"CRLF":                {create, `{"name":"a\r\nX-Evil: 1"}`, `{"message":"` + nameControl + `","errors":{"name":["` + nameControl + `"]}}`},
		"NUL":                 {create, `{"name":"\u0000"}`, `{"message":"` + nameControl + `","errors":{"name":["` + nameControl + `"]}}`},
		"terminal escape":     {update, `{"name":"\u001b[2J\u001b]0;x\u0007"}`, `{"message":"` + nameControl + `","errors":{"name":["` + nameControl + `"]}}`},
		"C1 control":          {create, `{"name":"a\u009bb"}`, `{"message":"` + nameControl + `","errors":{"name":["` + nameControl + `"]}}`},
		"DEL":                 {create, `{"name":"\u007f"}`, `{"message":"` + nameControl + `","errors":{"name":["` + nameControl + `"]}}`},
		"no date":             {create, `{"name":"x","expires_at":"tomorrow"}`, `{"message":"` + expiryForm + `","errors":{"expires_at":["` + expiryForm + `"]}}`},
		"empty date":          {create, `{"name":"x","expires_at":""}`, `{"message":"` + expiryForm + `","errors":{"expires_at":["` + expiryForm + `"]}}`},
		"date is a number":    {create, `{"name":"x","expires_at":1893456000}`, `{"message":"` + expiryForm + `","errors":{"expires_at":["` + expiryForm + `"]}}`},
		"past":                {create, `{"name":"x","expires_at":"2020-01-01"}`, `{"message":"` + expiryPast + `","errors":{"expires_at":["` + expiryPast + `"]}}`},
		"year 0":              {create, `{"name":"x","expires_at":"0000-01-01T00:00:00Z"}`, `{"message":"` + expiryPast + `","errors":{"expires_at":["` + expiryPast + `"]}}`},
		"limit is a number":   {create, `{"name":"x","limit":60}`, `{"message":"` + limitType + `","errors":{"limit":["` + limitType + `"]}}`},
		"limit is a boolean":  {workspace, `{"limit":false}`, `{"message":"` + limitType + `","errors":{"limit":["` + limitType + `"]}}`},
		"disabled is text":    {update, `{"disabled":"true"}`, `{"message":"` + disabledForm + `","errors":{"disabled":["` + disabledForm + `"]}}`},
		"disabled is null":    {update, `{"disabled":null}`, `{"message":"` + disabledForm + `","errors":{"disabled":["` + disabledForm + `"]}}`},
		"disabled is 1":       {update, `{"disabled":1}`, `{"message":"` + disabledForm + `","errors":{"disabled":["` + disabledForm + `"]}}`},
		"suspended is text":   {workspace, `{"suspended":"yes"}`, `{"message":"The suspended field must be true or false.","errors":{"suspended":["The suspended field must be true or false."]}}`},
		"overlap too long":    {rotate, `{"overlap":"7d1s"}`, `{"message":"` + overlapForm + `","errors":{"overlap":["` + overlapForm + `"]}}`},
		"overlap negative":    {rotate, `{"overlap":"-1s"}`, `{"message":"` + overlapForm + `","errors":{"overlap":["` + overlapForm + `"]}}`},
		"overlap is a number": {rotate, `{"overlap":3600}`, `{"message":"` + overlapForm + `","errors":{"overlap":["` + overlapForm + `"]}}`},
		"overlap is empty":    {rotate, `{"overlap":""}`, `{"message":"` + overlapForm + `","errors":{"overlap":["` + overlapForm + `"]}}`},
		"overlap beyond all":  {rotate, `{"overlap":"65535d"}`, `{"message":"` + overlapForm + `","errors":{"overlap":["` + overlapForm + `"]}}`},
		"two":                 {create, `{"name":"","expires_at":"x"}`, `{"message":"` + nameNeeded + ` (and 1 more error)","errors":{"expires_at":["` + expiryForm + `"],"name":["` + nameNeeded + `"]}}`},
		"three":               {create, `{"limit":1,"expires_at":"x"}`, `{"message":"` + nameNeeded + ` (and 2 more errors)","errors":{"expires_at":["` + expiryForm + `"],"limit":["` + limitType + `"],"name":["` + nameNeeded + `"]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(test.call, " ")
			got := b.on(t).send(method, "/v1/workspaces/acme"+strings.ReplaceAll(path, "ID", id), test.body)
			if got.status != 422 || got.body != test.want+"\n" {
				t.Errorf("%d %s\nwant %s", got.status, got.body, test.want)
			}
		})
	}
	if got := decode[Key](t, b.send("GET", "/v1/workspaces/acme/keys/"+id, "")); got.Name != "ci" || got.Status != "active" {
		t.Errorf("what was refused changed the key: %+v", got)
	}
}

func TestNoKeyInABadWorkspace(t *testing.T) {
	b := newBench(t)
	for _, workspace := range []string{"a%0D%0AX", "a%00", "a%20b", "%C3%A9", "%7Btag%7D", "a,b", strings.Repeat("a", 65), "a.b"} {
		got := b.send("POST", "/v1/workspaces/"+workspace+"/keys", `{"name":"ci"}`)
		const sentence = "The workspace must be 1 to 64 of A–Z, a–z, 0–9, _ and -."
		if problem := decode[Problem](t, got); got.status != 422 || problem.Message != sentence || problem.Errors["workspace"][0] != sentence {
			t.Errorf("%s: %d %s", workspace, got.status, got.body)
		}
	}
	if got := b.send("GET", "/v1/workspaces", ""); got.body != "[]\n" {
		t.Errorf("workspaces were made: %s", got.body)
	}
}

func TestNames(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{
		"<img src=x onerror=alert(1)>", `"><script>`, "{{7*7}}", "=cmd|'/c calc'!A1", "a\u202eb", "../../etc", "' OR 1=1--", "*", "{a}{b}", "é", "👩‍👩‍👧‍👦", `\ud800`, " ", "a\u2028b",
		strings.Repeat("x", 255), strings.Repeat("😀", 255), "%s%n", "tp_" + strings.Repeat("A", 48),
	} {
		made := b.create("acme", `{"name":`+quoted(name)+`}`)
		got := b.send("GET", "/v1/workspaces/acme/keys/"+made.Token.ID, "")
		if made.Token.Name != name || decode[Key](t, got).Name != name {
			t.Errorf("%q came back as %q and %s", name, made.Token.Name, got.body)
		}
		if strings.ContainsAny(got.body, "<>\u2028") {
			t.Errorf("not safe inside a page: %s", got.body)
		}
	}
}

func TestExpiry(t *testing.T) {
	b := newBench(t)
	for sent, want := range map[string]string{
		`"2030-02-28"`:                  "2030-02-28T23:59:59Z",
		`"2028-02-29"`:                  "2028-02-29T23:59:59Z",
		`"2030-01-01T00:00:00Z"`:        "2030-01-01T00:00:00Z",
		`"2030-01-01T01:30:00.5+01:30"`: "2030-01-01T00:00:00.5Z",
		`"2030-01-01T00:00:00.123999Z"`: "2030-01-01T00:00:00.123Z",
		`"2029-12-31T23:00:00-01:00"`:   "2030-01-01T00:00:00Z",
		`"9999-12-31"`:                  "9999-12-31T23:59:59Z",
		`null`:                          "",
		`"` + time.Now().UTC().Format(time.DateOnly) + `"`: time.Now().UTC().Format(time.DateOnly) + "T23:59:59Z",
		`"2030-02-30"`: "422", `"2030-13-01"`: "422", `"2030-1-1"`: "422", `"2030-01-01 00:00:00"`: "422", `"2030-01-01T00:00:00"`: "422",
		`"2030-01-01T24:00:00Z"`: "422", `"2030-01-01T00:00:60Z"`: "422", `" 2030-01-01"`: "422", `"20300101"`: "422", `"+10000-01-01"`: "422", `"1893456000"`: "422",
		`"2030-01-01T1:00:00Z"`: "422", `"2030-01-01T10:00:00,5Z"`: "422", `"2030-01-01T10:00:00-24:00"`: "422", `"2030-01-01T10:00:00+23:60"`: "422",
		`"9999-12-31T23:59:59-01:00"`: "422", // the year 10000 in UTC
	} {
		got := b.send("POST", "/v1/workspaces/acme/keys", `{"name":"x","expires_at":`+sent+`}`)
		switch at := decode[NewKey](t, got).Token.ExpiresAt; {
		case want == "422":
			if got.status != 422 {
				t.Errorf("%s: %d %s", sent, got.status, got.body)
			}
		case got.status != 201 || (at == nil) != (want == "") || at != nil && *at != want:
			t.Errorf("%s: %d %s, want %q", sent, got.status, got.body, want)
		}
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t)
	for sent, want := range map[string]string{
		`"60/1m"`: "60/1m", `"10/1s,600/1m"`: "10/1s,600/1m", `" 10/1s , 600/1m "`: "10/1s,600/1m", `"off"`: "off", `"0/1m"`: "0/1m", `"1000000/31d"`: "1000000/31d", `"1/1ms"`: "1/1ms", `null`: "",
		`""`: "422", `"60"`: "422", `"-1/1m"`: "422", `"1000001/1m"`: "422", `"1/0s"`: "422", `"1/32d"`: "422", `"1/1us"`: "422", `"1/1s,1/2s,1/3s,1/4s"`: "422", `"1e309/1m"`: "422", `"nan/1m"`: "422", `"OFF"`: "422", `"1/1m\r\nX: y"`: "422",
	} {
		for _, call := range [][2]string{{"POST", "/v1/workspaces/acme/keys"}, {"PATCH", "/v1/workspaces/acme"}} {
			body := `{"limit":` + sent + `}`
			if call[0] == "POST" {
				body = `{"name":"x","limit":` + sent + `}`
			}
			got := b.send(call[0], call[1], body)
			limit := decode[Workspace](t, got).Limit
			if call[0] == "POST" {
				limit = decode[NewKey](t, got).Token.Limit
			}
			switch {
			case want == "422":
				if message := decode[Problem](t, got).Message; got.status != 422 || !strings.HasPrefix(message, "The limit field is invalid: ") || !strings.HasSuffix(message, ".") {
					t.Errorf("%s %s: %d %s", call[0], sent, got.status, got.body)
				}
			case got.status >= 300 || or(limit) != want:
				t.Errorf("%s %s: %d %s, want %q", call[0], sent, got.status, got.body, want)
			}
		}
	}
}

func or(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
