package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"tpgate/admin"
	"tpgate/store"
)

// clientTimeout bounds one call of the management API.
const clientTimeout = 30 * time.Second

// client is what the commands share that call the management API.
type client struct {
	*flags
	server, tokenFile string
	workspace         string
	json              bool
	api               *admin.Client // after open
}

func newClient(w world, name, args string) *client {
	return &client{flags: newFlags(w, name, args)}
}

// parse adds the flags that all of these commands have, and parses.
func (c *client) parse(args []string) ([]string, error) {
	c.bool(&c.json, "json", "print the API's JSON on stdout instead")
	c.group("Connection")
	c.string(&c.server, "server", "http://127.0.0.1:8081", "address of the management API")
	c.string(&c.tokenFile, "admin-token-file", "", "file with the admin token (default admin-token in TPGATE_DATA_DIR or tpgate-data; or the variable TPGATE_ADMIN_TOKEN)")
	return c.flags.parse(args)
}

// inWorkspace adds the flag --workspace.
func (c *client) inWorkspace() {
	c.string(&c.workspace, "workspace", "", "workspace that the key belongs to (needed)")
}

// open parses the arguments, of which exactly n stand beside flags, and finds the token.
func (c *client) open(args []string, n int) ([]string, error) {
	rest, err := c.parse(args)
	if err != nil {
		return nil, err
	}
	return rest, c.connect(rest, n)
}

// connect checks what was parsed, and finds the token.
func (c *client) connect(rest []string, n int) error {
	if len(rest) != n {
		c.fault("%s takes %s", c.Name(), cmp.Or(c.args, "no arguments besides flags"))
	}
	if c.Lookup("workspace") != nil && c.workspace == "" {
		c.fault("--workspace is needed: whose keys?")
	}
	if looksSecret(c.workspace) {
		c.fault("--workspace is the id of a workspace, not a key")
	}
	if c.args == "KEY_ID" && slices.ContainsFunc(rest, looksSecret) {
		c.fault("KEY_ID is the id of a key, not the key itself: %s keys list shows it", c.world.program)
	}
	if c.args == "KEY_ID" || c.args == "WORKSPACE" {
		for _, id := range rest {
			if !store.ValidID(id) && !looksSecret(id) {
				c.fault("%s is %s: it must be 1 to 64 of A–Z, a–z, 0–9, _ and -", c.args, strconv.Quote(id))
			}
		}
	}
	if u, err := url.Parse(c.server); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		c.fault("--server: write an address such as http://127.0.0.1:8081")
	}
	if err := c.done(); err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	c.api = &admin.Client{Server: c.server, Token: token, HTTP: &http.Client{
		Timeout:       clientTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes where it was sent, and nowhere else
	}}
	return nil
}

// looksSecret reports whether an argument is most likely a whole key, which must not travel in a path.
func looksSecret(arg string) bool { return withoutKeys(arg) != arg }

// call calls the API, and words what a person can do about a refusal.
func (c *client) call(ctx context.Context, method, path string, in, out any) (next string, err error) {
	next, err = c.api.Call(ctx, method, path, in, out)
	refusal, ok := errors.AsType[*admin.Error](err)
	switch {
	case !ok: // done, or nobody to ask
		return next, err
	case refusal.Status == http.StatusUnauthorized && refusal.Message == "Unauthenticated.":
		return "", fmt.Errorf("the service at %s does not accept this admin token: name the file with its token with --admin-token-file", c.server)
	case refusal.Status == http.StatusNotFound && refusal.Message == "Not found." && c.args == "KEY_ID":
		return "", fmt.Errorf("workspace %s has no such key: %s keys list --workspace %[1]s shows all", plain(c.workspace), c.world.program)
	case refusal.Status == http.StatusNotFound && refusal.Message == "Not found.":
		return "", errors.New("no workspace can have this id: it must be 1 to 64 of A–Z, a–z, 0–9, _ and -")
	default:
		return "", err
	}
}

func (c *client) token() (string, error) {
	if c.tokenFile == "" {
		if token := strings.TrimSpace(c.world.env["TPGATE_ADMIN_TOKEN"]); token != "" {
			return token, nil
		}
	}
	path := cmp.Or(c.tokenFile, filepath.Join(cmp.Or(c.world.env["TPGATE_DATA_DIR"], "tpgate-data"), "admin-token"))
	token, err := readSecret(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("there is no admin token in %s: run this where the service was started, or name the file with --admin-token-file", path)
	}
	return token, err
}

// keysPath is the API's path of all keys of the workspace.
func (c *client) keysPath() string { return "/v1/workspaces/" + url.PathEscape(c.workspace) + "/keys" }

// keyPath is the API's path of one key.
func (c *client) keyPath(id string) string { return c.keysPath() + "/" + url.PathEscape(id) }

// printJSON prints a value as the API would.
func (c *client) printJSON(value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := c.world.stdout.Write(text.Bytes())
	return err
}

// all walks the pages of a list.
func all[T any](ctx context.Context, c *client, path string) ([]T, error) {
	list := []T{}
	for path != "" {
		var page []T
		next, err := c.call(ctx, http.MethodGet, path, nil, &page)
		if err != nil {
			return nil, err
		}
		list, path = append(list, page...), next
	}
	return list, nil
}

// table prints rows with aligned columns.
func table(out io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = plain(row[i])
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// plain shows what would steer a terminal (control characters, text direction) as \u escapes.
func plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04X", r)
		}
	}
	return b.String()
}

// or returns what p points to, or a word for null.
func or(p *string, word string) string {
	if p == nil {
		return word
	}
	return *p
}
