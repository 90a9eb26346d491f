package limiter

import _ "embed"

//go:embed ledger.lua
var ledger string

//go:embed window.lua
var window string

// Script returns a Redis script that consists of ledger.lua, window.lua and body: body may use the functions that window.lua documents.
func Script(body string) string { return ledger + "\n" + window + "\n" + body }
