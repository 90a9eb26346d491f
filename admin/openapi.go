package admin

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
)

// node is a part of the OpenAPI document.
type node = map[string]any

// serveOpenAPI serves the API's description. It needs no token: it says what anybody can read in the documentation.
func (a *API) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.openAPI())
}

// openAPI describes the API in OpenAPI 3.1, from the table of routes.
func (a *API) openAPI() node {
	paths := node{}
	for _, r := range routes {
		path, ok := paths[r.pattern].(node)
		if !ok {
			path = node{}
			paths[r.pattern] = path
		}
		path[strings.ToLower(r.method)] = operation(r)
	}
	return node{
		"openapi":  "3.1.0",
		"info":     node{"title": "tpgate management API", "version": "1"},
		"security": []node{{"token": []string{}}},
		"paths":    paths,
		"components": node{
			"securitySchemes": node{"token": node{"type": "http", "scheme": "bearer"}},
			"schemas":         schemas(),
		},
	}
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// operation describes one route.
func operation(r route) node {
	parameters := []node{}
	for _, m := range pathParameter.FindAllStringSubmatch(r.pattern, -1) {
		parameters = append(parameters, node{"name": m[1], "in": "path", "required": true, "schema": node{"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}})
	}
	answer := answers[r.method+" "+r.pattern]
	if answer.paged {
		parameters = append(parameters,
			node{"name": "limit", "in": "query", "schema": node{"type": "integer", "minimum": 1, "maximum": maxPage, "default": defaultPage}},
			node{"name": "cursor", "in": "query", "description": "from the Link header of the page before", "schema": node{"type": "string"}})
	}
	op := node{"operationId": operationID(r), "parameters": parameters, "responses": responses(answer)}
	switch {
	case r.stream != nil && r.method == http.MethodPost:
		op["parameters"] = append(parameters, node{"name": "dry_run", "in": "query", "schema": node{"type": "boolean"}})
		op["requestBody"] = node{"content": node{"application/x-ndjson": node{"schema": node{"type": "string"}}}}
	case len(r.fields) > 0:
		if r.method == http.MethodPost {
			op["parameters"] = append(parameters, node{"name": "Idempotency-Key", "in": "header", "schema": node{"type": "string", "pattern": "^[!-~]{1,255}$"}})
		}
		op["requestBody"] = node{"content": node{"application/json": node{"schema": bodySchema(r)}}}
	}
	return op
}

// answered is what a route answers when all is well.
type answered struct {
	status int
	schema node // none: no body
	paged  bool
	kind   string // media type; "": JSON
}

var answers = map[string]answered{
	"GET /v1/workspaces":                               {200, list("Workspace"), true, ""},
	"GET /v1/workspaces/{workspace}":                   {200, ref("Workspace"), false, ""},
	"PATCH /v1/workspaces/{workspace}":                 {200, ref("Workspace"), false, ""},
	"GET /v1/workspaces/{workspace}/keys":              {200, list("Key"), true, ""},
	"POST /v1/workspaces/{workspace}/keys":             {201, ref("NewKey"), false, ""},
	"DELETE /v1/workspaces/{workspace}/keys":           {204, nil, false, ""},
	"GET /v1/workspaces/{workspace}/keys/{id}":         {200, ref("Key"), false, ""},
	"PATCH /v1/workspaces/{workspace}/keys/{id}":       {200, ref("Key"), false, ""},
	"DELETE /v1/workspaces/{workspace}/keys/{id}":      {204, nil, false, ""},
	"GET /v1/workspaces/{workspace}/keys/{id}/usage":   {200, list("Usage"), false, ""},
	"POST /v1/workspaces/{workspace}/keys/{id}/rotate": {200, ref("NewKey"), false, ""},
	"GET /v1/revocations":                              {200, node{"type": "string"}, false, "text/event-stream"},
	"GET /v1/audit":                                    {200, list("AuditEntry"), true, ""},
	"POST /v1/import":                                  {200, node{"type": "string"}, false, "application/x-ndjson"},
	"GET /v1/export":                                   {200, node{"type": "string"}, false, "application/x-ndjson"},
}

func responses(answer answered) node {
	good := node{"description": "done"}
	if answer.schema != nil {
		good["content"] = node{cmp.Or(answer.kind, "application/json"): node{"schema": answer.schema}}
	}
	problem := node{"description": "see message", "content": node{"application/json": node{"schema": ref("Problem")}}}
	return node{fmt.Sprint(answer.status): good, "default": problem}
}

// operationID is the handler's deed, such as "post_keys_rotate".
func operationID(r route) string {
	words := strings.FieldsFunc(pathParameter.ReplaceAllString(strings.TrimPrefix(r.pattern, "/v1"), "one"), func(c rune) bool { return c == '/' })
	return strings.ToLower(r.method) + "_" + strings.Join(words, "_")
}

func ref(name string) node  { return node{"$ref": "#/components/schemas/" + name} }
func list(name string) node { return node{"type": "array", "items": ref(name)} }

func orNull(kind string, more node) node {
	schema := node{"type": []string{kind, "null"}}
	maps.Copy(schema, more)
	return schema
}

// fieldSchemas are those of the fields that bodies may have.
var fieldSchemas = map[string]node{
	"name":       {"type": "string", "minLength": 1, "maxLength": 255},
	"expires_at": orNull("string", node{"description": "RFC 3339, or a date: the end of that day in UTC; null: never"}),
	"limit":      orNull("string", node{"description": "N/DURATION, up to three with commas, or off; null: the default"}),
	"disabled":   {"type": "boolean"},
	"suspended":  {"type": "boolean"},
	"overlap":    orNull("string", node{"description": "a duration from 0s to 7d"}),
}

func bodySchema(r route) node {
	properties := node{}
	for _, f := range r.fields {
		properties[f] = fieldSchemas[f]
	}
	schema := node{"type": "object", "additionalProperties": false, "properties": properties}
	if operationID(r) == "post_workspaces_one_keys" {
		schema["required"] = []string{"name"}
	}
	return schema
}

// schemas are those of the wire types.
func schemas() node {
	text, null, moment := node{"type": "string"}, orNull("string", nil), orNull("string", node{"format": "date-time"})
	object := func(properties node) node {
		names := []string{}
		for name := range properties {
			names = append(names, name)
		}
		return node{"type": "object", "properties": properties, "required": names, "additionalProperties": false}
	}
	return node{
		"Key": object(node{
			"id": text, "workspace_id": text, "name": text, "key_hint": text, "status": node{"enum": []string{"active", "expired", "disabled"}},
			"limit": null, "expires_at": moment, "last_used_at": moment, "created_at": moment,
		}),
		"NewKey":     object(node{"token": ref("Key"), "plain_token": null}),
		"Workspace":  object(node{"id": text, "limit": null, "suspended": node{"type": "boolean"}, "keys": node{"type": "integer"}}),
		"AuditEntry": object(node{"id": text, "time": moment, "actor": text, "action": text, "workspace_id": null, "key_id": null, "address": text}),
		"Usage":      object(node{"hour": node{"type": "string", "format": "date-time"}, "allowed": node{"type": "integer"}, "refused": node{"type": "integer"}}),
		"Problem":    node{"type": "object", "required": []string{"message"}, "properties": node{"message": text, "errors": node{"type": "object"}}},
	}
}
