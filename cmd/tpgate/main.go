// Command tpgate is an API-key gate for reverse proxies: a forward-auth service, its management API, and the client of that API.
//
// run.go dispatches the commands and flags.go reads what they are told; config.go, check.go, serve.go and token.go are the service, the other files the client's commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		relaxTimers()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args, os.Environ(), os.Stdout, os.Stderr))
}
