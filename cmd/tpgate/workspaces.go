package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"tpgate/admin"
)

func listWorkspaces(ctx context.Context, w world, args []string) error {
	c := newClient(w, "workspaces list", "")
	if _, err := c.open(args, 0); err != nil {
		return err
	}
	workspaces, err := all[admin.Workspace](ctx, c, "/v1/workspaces?limit=1000")
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(workspaces)
	}
	if len(workspaces) == 0 {
		fmt.Fprintln(w.stderr, "No workspace has had a key yet.")
		return nil
	}
	return table(w.stdout, workspaceRows(workspaces...))
}

func showWorkspace(ctx context.Context, w world, args []string) error {
	c := newClient(w, "workspaces show", "WORKSPACE")
	rest, err := c.open(args, 1)
	if err != nil {
		return err
	}
	return c.callWorkspace(ctx, http.MethodGet, rest[0], nil)
}

func updateWorkspace(ctx context.Context, w world, args []string) error {
	c := newClient(w, "workspaces update", "WORKSPACE")
	var limit string
	var suspended bool
	c.string(&limit, "limit", "", "quota shared by all its keys, such as 6000/1m, or off, or default for the service's")
	c.bool(&suspended, "suspended", "--suspended refuses all its keys with 403, --suspended=false lifts that")
	rest, err := c.parse(args)
	if err != nil {
		return err
	}
	fields := map[string]any{}
	if c.given("limit") {
		fields["limit"] = limit
	}
	if limit == "default" {
		fields["limit"] = nil
	}
	if c.given("suspended") {
		fields["suspended"] = suspended
	}
	if len(fields) == 0 {
		c.fault("nothing to change: give --limit or --suspended")
	}
	if err := c.connect(rest, 1); err != nil {
		return err
	}
	return c.callWorkspace(ctx, http.MethodPatch, rest[0], fields)
}

// callWorkspace calls the API for one workspace and prints it.
func (c *client) callWorkspace(ctx context.Context, method, id string, fields map[string]any) error {
	var in any
	if fields != nil {
		in = fields
	}
	var workspace admin.Workspace
	if _, err := c.call(ctx, method, "/v1/workspaces/"+url.PathEscape(id), in, &workspace); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(workspace)
	}
	return table(c.world.stdout, workspaceRows(workspace))
}

func workspaceRows(workspaces ...admin.Workspace) [][]string {
	rows := [][]string{{"WORKSPACE", "KEYS", "LIMIT", "SUSPENDED"}}
	for _, w := range workspaces {
		rows = append(rows, []string{w.ID, strconv.Itoa(w.Keys), or(w.Limit, "default"), map[bool]string{true: "yes", false: "no"}[w.Suspended]})
	}
	return rows
}

func printVersion(_ context.Context, w world, args []string) error {
	f := newFlags(w, "version", "")
	rest, err := f.parse(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usageError{errors.New("version takes no arguments")}
	}
	_, err = fmt.Fprintf(w.stdout, "tpgate %s\n", version())
	return err
}
