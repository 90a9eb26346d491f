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
	ctx := untilSignalled()
	os.Exit(run(ctx, os.Args, os.Environ(), os.Stdout, os.Stderr))
}

// untilSignalled returns a context that the first SIGINT or SIGTERM ends. The second ends the process at once, with exit code 1: what was draining is cut off.
func untilSignalled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // both find room, however close they follow each other
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(1)
	}()
	return ctx
}
