package main

import (
	"context"
	"fmt"
	"net/http"

	"tpgate/admin"
)

// keyFlags are the flags that say how a key shall be.
type keyFlags struct {
	name, expires, limit string
	disabled             bool
}

func (k *keyFlags) define(c *client, limitWords string) {
	c.string(&k.name, "name", "", "name of the key, 1–255 characters")
	c.string(&k.expires, "expires", "", "2027-01-31 (end of that day, UTC), or an RFC 3339 time, or never")
	c.string(&k.limit, "limit", "", "its own quota, such as 600/1m, or off"+limitWords)
}

// fields returns the API's fields for the flags that were given.
func (k *keyFlags) fields(c *client) map[string]any {
	fields := map[string]any{}
	for _, f := range []struct{ flag, field, value string }{{"name", "name", k.name}, {"expires", "expires_at", k.expires}, {"limit", "limit", k.limit}} {
		if c.given(f.flag) {
			fields[f.field] = f.value
		}
	}
	if k.expires == "never" {
		fields["expires_at"] = nil
	}
	if k.limit == "default" {
		fields["limit"] = nil
	}
	return fields
}

func createKey(ctx context.Context, w world, args []string) error {
	c, k := newClient(w, "keys create", ""), keyFlags{}
	c.inWorkspace()
	k.define(c, " (default: the service's)")
	rest, err := c.parse(args)
	if err != nil {
		return err
	}
	if k.name == "" {
		c.fault("--name is needed: what is the key for?")
	}
	if err := c.connect(rest, 0); err != nil {
		return err
	}
	var made admin.NewKey
	if _, err := c.call(ctx, http.MethodPost, c.keysPath(), k.fields(c), &made); err != nil {
		return err
	}
	return c.printSecret("Created", made)
}

func rotateKey(ctx context.Context, w world, args []string) error {
	c, overlap := newClient(w, "keys rotate", "KEY_ID"), ""
	c.inWorkspace()
	c.string(&overlap, "overlap", "0s", "how long the old secret goes on working, at most 7d")
	rest, err := c.open(args, 1)
	if err != nil {
		return err
	}
	var made admin.NewKey
	if _, err := c.call(ctx, http.MethodPost, c.keyPath(rest[0])+"/rotate", map[string]any{"overlap": overlap}, &made); err != nil {
		return err
	}
	return c.printSecret("Rotated", made)
}

// printSecret prints the secret alone on stdout, so that KEY=$(…) takes it, and the rest on stderr.
func (c *client) printSecret(done string, made admin.NewKey) error {
	if c.json {
		return c.printJSON(made)
	}
	k := made.Token
	fmt.Fprintf(c.world.stderr, "%s key %s (%s) of workspace %s, expires: %s. Its secret is shown this once:\n", done, k.ID, plain(k.Name), k.Workspace, or(k.ExpiresAt, "never"))
	_, err := fmt.Fprintln(c.world.stdout, or(made.Secret, ""))
	return err
}

func listKeys(ctx context.Context, w world, args []string) error {
	c := newClient(w, "keys list", "")
	c.inWorkspace()
	if _, err := c.open(args, 0); err != nil {
		return err
	}
	keys, err := all[admin.Key](ctx, c, c.keysPath()+"?limit=1000")
	if err != nil {
		return err
	}
	if c.json {
		return c.printJSON(keys)
	}
	if len(keys) == 0 {
		fmt.Fprintf(w.stderr, "Workspace %s has no keys.\n", c.workspace)
		return nil
	}
	return table(w.stdout, keyRows(keys...))
}

func showKey(ctx context.Context, w world, args []string) error {
	c := newClient(w, "keys show", "KEY_ID")
	c.inWorkspace()
	rest, err := c.open(args, 1)
	if err != nil {
		return err
	}
	return c.callKey(ctx, http.MethodGet, rest[0], nil)
}

func updateKey(ctx context.Context, w world, args []string) error {
	c, k := newClient(w, "keys update", "KEY_ID"), keyFlags{}
	c.inWorkspace()
	k.define(c, ", or default for the service's")
	c.bool(&k.disabled, "disabled", "--disabled refuses the key, --disabled=false admits it again")
	rest, err := c.parse(args)
	if err != nil {
		return err
	}
	fields := k.fields(c)
	if c.given("disabled") {
		fields["disabled"] = k.disabled
	}
	if len(fields) == 0 {
		c.fault("nothing to change: give --name, --expires, --limit or --disabled")
	}
	if err := c.connect(rest, 1); err != nil {
		return err
	}
	return c.callKey(ctx, http.MethodPatch, rest[0], fields)
}

// callKey calls the API for one key and prints it.
func (c *client) callKey(ctx context.Context, method, id string, fields map[string]any) error {
	var in any
	if fields != nil {
		in = fields
	}
	var key admin.Key
	if _, err := c.call(ctx, method, c.keyPath(id), in, &key); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(key)
	}
	return table(c.world.stdout, keyRows(key))
}

func deleteKey(ctx context.Context, w world, args []string) error {
	c := newClient(w, "keys delete", "KEY_ID")
	var every, sure bool
	c.inWorkspace()
	c.bool(&every, "all", "instead of KEY_ID: end all keys of the workspace at once (no variable sets this)")
	c.bool(&sure, "yes", "with --all: yes, all of them (no variable sets this)")
	c.onlyArguments("all", "yes")
	rest, err := c.parse(args)
	if err != nil {
		return err
	}
	n := 1
	switch {
	case every && len(rest) > 0:
		c.fault("--all and a KEY_ID were given: which is meant?")
		n = len(rest)
	case every && !sure:
		c.fault("this ends every key of workspace %s: add --yes if that is meant", plain(c.workspace))
		n = 0
	case every:
		n = 0
	}
	if err := c.connect(rest, n); err != nil {
		return err
	}
	path, what := c.keysPath(), "All keys"
	if !every {
		path, what = c.keyPath(rest[0]), "Key "+rest[0]
	}
	if _, err := c.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(w.stderr, "%s of workspace %s deleted: refused from now on.\n", what, c.workspace)
	return nil
}

func keyRows(keys ...admin.Key) [][]string {
	rows := [][]string{{"ID", "NAME", "KEY", "STATUS", "LIMIT", "EXPIRES", "LAST USED", "CREATED"}}
	for _, k := range keys {
		rows = append(rows, []string{k.ID, k.Name, k.Hint, string(k.Status), or(k.Limit, "default"), or(k.ExpiresAt, "never"), or(k.LastUsed, "never"), or(k.CreatedAt, "")})
	}
	return rows
}
