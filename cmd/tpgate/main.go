// Command tpgate is an API-key gate for reverse proxies: a forward-auth service, its management API, and the client of that API.
//
// run.go dispatches the commands; serve*.go is the service, the other files are the client's commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args, os.Getenv, os.Stdout, os.Stderr))
}
