package limiter

import _ "embed"

//go:embed window.lua
var window string

// Script returns a Redis script that consists of window.lua and body: body may use the functions that window.lua documents.
func Script(body string) string { return window + "\n" + body }
