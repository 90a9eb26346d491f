package admin

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func TestStrictJSON(t *testing.T) {
	b := newBench(t)
	id := b.create("acme", `{"name":"ci"}`).Token.ID
	deep := func(n int) string {
		return `{"name":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	padded := func(n int) string { return `{"name":"x"` + strings.Repeat(" ", n-len(`{"name":"x"}`)) + `}` }
	const malformed = "The request is malformed: "
	for name, test := range map[string]struct {
		body    string
		status  int
		message string // what the message begins with
	}{
		"good":                      {`{"name":"new"}`, 200, ""},
		"space around":              {" \r\n\t{ \"name\" : \"new\" }\n", 200, ""},
		"escaped field name":        {`{"n\u0061me":"new"}`, 200, ""},
		"empty object":              {`{}`, 200, ""},
		"unknown field":             {`{"name":"x","colour":"red"}`, 400, malformed + `the field "colour" is unknown here: possible are ["name" "expires_at" "limit" "disabled"].`},
		"field of another place":    {`{"overlap":"24h"}`, 400, malformed + `the field "overlap" is unknown here`},
		"field that cannot change":  {`{"id":"1"}`, 400, malformed + `the field "id" is unknown here`},
		"other case":                {`{"Name":"x"}`, 400, malformed + `the field "Name" is unknown here`},
		"unicode case":              {`{"liſmit":"off"}`, 400, malformed + `the field "liſmit" is unknown here`},
		"kelvin":                    {`{"K":1}`, 400, malformed + "the field"},
		"__proto__":                 {`{"__proto__":{"admin":true}}`, 400, malformed + `the field "__proto__" is unknown here`},
		"empty field":               {`{"":1}`, 400, malformed + `the field "" is unknown here`},
		"twice":                     {`{"name":"x","name":"x"}`, 400, malformed + `the field "name" is there twice.`},
		"twice, escaped":            {`{"name":"x","n\u0061me":"y"}`, 400, malformed + `the field "name" is there twice.`},
		"twice, nested":             {`{"name":{"a":1,"b":[{"c":1,"c":2}]}}`, 400, malformed + `the field "c" is there twice.`},
		"same name in two objects":  {`{"name":[{"c":1},{"c":2}]}`, 422, "The name field must be a string."},
		"as deep as may be":         {deep(7), 422, "The name field must be a string."},
		"too deep":                  {deep(8), 400, malformed + "the body is nested deeper than 8 levels."},
		"10,000 deep":               {deep(10_000), 400, malformed + "the body is nested deeper than 8 levels."},
		"never closed":              {strings.Repeat("[", 60_000), 400, malformed + "the body is nested deeper than 8 levels."},
		"trailing object":           {`{"name":"x"}{"name":"y"}`, 400, malformed + "the body has something after its JSON value."},
		"trailing garbage":          {`{"name":"x"} x`, 400, malformed + "the body has something after its JSON value."},
		"trailing NUL":              {"{\"name\":\"x\"}\x00", 400, malformed + "the body has something after its JSON value."},
		"array":                     {`[{"name":"x"}]`, 400, malformed + "the body is not a JSON object."},
		"null":                      {`null`, 400, malformed + "the body is not a JSON object."},
		"string":                    {`"name"`, 400, malformed + "the body is not a JSON object."},
		"number":                    {`1e400`, 400, malformed + "the body is not a JSON object."},
		"cut off":                   {`{"name":"x"`, 400, malformed + "the body is not valid JSON."},
		"no value":                  {`{"name"}`, 400, malformed + "the body is not valid JSON."},
		"comma at the end":          {`{"name":"x",}`, 400, malformed + "the body is not valid JSON."},
		"single quotes":             {`{'name':'x'}`, 400, malformed + "the body is not valid JSON."},
		"comment":                   {`{"name":"x"/**/}`, 400, malformed + "the body is not valid JSON."},
		"NaN":                       {`{"limit":NaN}`, 400, malformed + "the body is not valid JSON."},
		"leading zero":              {`{"limit":01}`, 400, malformed + "the body is not valid JSON."},
		"raw control character":     {"{\"name\":\"a\nb\"}", 400, malformed + "the body is not valid JSON."},
		"huge number":               {`{"limit":1e400}`, 422, "The limit field must be a string."},
		"minus zero":                {`{"limit":-0}`, 422, "The limit field must be a string."},
		"huge number for a boolean": {`{"disabled":1e400}`, 422, "The disabled field must be true or false."},
		"not UTF-8":                 {"{\"name\":\"\xff\"}", 400, malformed + "the body is not UTF-8."},
		"UTF-16":                    {inUTF16(`{"name":"x"}`), 400, malformed + "the body is not UTF-8."},
		"byte order mark":           {"\ufeff{}", 400, malformed + "the body is not valid JSON."},
		"lone high surrogate":       {`{"name":"a\ud800b"}`, 400, malformed + "the body has half of a surrogate pair."},
		"lone low surrogate":        {`{"name":"\udc00"}`, 400, malformed + "the body has half of a surrogate pair."},
		"swapped surrogates":        {`{"name":"\udc00\ud800"}`, 400, malformed + "the body has half of a surrogate pair."},
		"surrogate before text":     {`{"name":"\ud83d\\ude00"}`, 400, malformed + "the body has half of a surrogate pair."},
		"surrogate pair":            {`{"name":"\ud83d\ude00"}`, 200, ""},
		"escaped backslash, u":      {`{"name":"\\ud800"}`, 200, ""},
		"replacement character":     {`{"name":"\ufffd"}`, 200, ""},
		"64 KiB":                    {padded(64 << 10), 200, ""},
		"64 KiB and 1":              {padded(64<<10 + 1), 413, "The body is larger than 65536 bytes."},
		"1 MB":                      {padded(1 << 20), 413, "The body is larger than 65536 bytes."},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.on(t).send("PATCH", "/v1/workspaces/acme/keys/"+id, test.body)
			if got.status != test.status || test.message != "" && !strings.HasPrefix(decode[Problem](t, got).Message, test.message) {
				t.Errorf("%d %s, want %d %s", got.status, got.body, test.status, test.message)
			}
		})
	}
}

// inUTF16 returns text as a little-endian file with a byte order mark.
func inUTF16(text string) string {
	var out bytes.Buffer
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		out.WriteByte(byte(unit))
		out.WriteByte(byte(unit >> 8))
	}
	return out.String()
}

func TestContentType(t *testing.T) {
	b := newBench(t)
	for kind, status := range map[string]int{
		"application/json": 201, "application/json; charset=utf-8": 201, "Application/JSON": 201,
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415, "application/jsonp": 415, "application/vnd.api+json": 415, ";": 415,
	} {
		got := b.send("POST", "/v1/workspaces/acme/keys", `{"name":"ci"}`, "Content-Type", kind)
		if got.status != status || status == 415 && decode[Problem](t, got).Message != "The body must be JSON: send Content-Type: application/json." {
			t.Errorf("%q: %d %s, want %d", kind, got.status, got.body, status)
		}
	}
	if got := b.send("GET", "/v1/workspaces/acme", "", "Content-Type", "text/plain"); got.status != 200 {
		t.Errorf("without a body the type says nothing: %d", got.status)
	}
	if got := b.send("DELETE", "/v1/workspaces/acme/keys", `{"sure":true}`); got.status != 400 {
		t.Errorf("a body where none is: %d %s", got.status, got.body)
	}
}

// FuzzParseObject holds that what is accepted is one object with known fields, in UTF-8, and that each value can be read back.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{`{"name":"x","limit":null}`, `{"name":{"a":[1,{"b":"\ud83d\ude00"}]}}`, `{"name":"\ud800"}`, `{"a":1}`, ` `, `[]`, `{"name":1}{}`, "{\"name\":\"\xff\"}"} {
		f.Add([]byte(seed))
	}
	allowed := []string{"name", "limit"}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := parseObject(body, allowed)
		if err != nil {
			return
		}
		if len(o) > len(allowed) || !utf8.Valid(body) {
			t.Errorf("%q became %q", body, o)
		}
		for name := range o {
			if name != "name" && name != "limit" {
				t.Errorf("%q has the field %q", body, name)
			}
			if text, ok := o.text(name); ok && !utf8.ValidString(text) {
				t.Errorf("%q is %q", name, text)
			}
		}
	})
}
