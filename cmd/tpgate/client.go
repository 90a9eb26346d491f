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
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"tpgate/admin"
)

// clientTimeout bounds one call of the management API.
const clientTimeout = 30 * time.Second

// client is what the commands share that call the management API.
type client struct {
	*flags
	server, tokenFile string
	workspace         string
	json              bool
}

func newClient(w world, name, args string) *client {
	c := &client{flags: newFlags(w, name, args)}
	c.StringVar(&c.server, "server", "http://127.0.0.1:8081", "address of the management API")
	c.StringVar(&c.tokenFile, "admin-token-file", "", "file with the admin token (default admin-token in TPGATE_DATA_DIR or tpgate-data; or the variable TPGATE_ADMIN_TOKEN)")
	c.BoolVar(&c.json, "json", false, "print the API's JSON on stdout instead")
	return c
}

// inWorkspace adds the flag --workspace.
func (c *client) inWorkspace() {
	c.StringVar(&c.workspace, "workspace", "", "workspace that the key belongs to (needed)")
}

// open parses the arguments, of which exactly n stand beside flags, and finds the token.
func (c *client) open(args []string, n int) ([]string, *admin.Client, error) {
	rest, err := c.parse(args)
	if err != nil {
		return nil, nil, err
	}
	if len(rest) != n {
		c.fault("%s takes %s", c.Name(), cmp.Or(c.args, "no arguments besides flags"))
	}
	if c.Lookup("workspace") != nil && c.workspace == "" {
		c.fault("--workspace is needed: whose keys?")
	}
	if err := c.done(); err != nil {
		return nil, nil, err
	}
	token, err := c.token()
	if err != nil {
		return nil, nil, err
	}
	return rest, &admin.Client{Server: c.server, Token: token, HTTP: &http.Client{Timeout: clientTimeout}}, nil
}

func (c *client) token() (string, error) {
	if c.tokenFile == "" {
		if token := c.world.getenv("TPGATE_ADMIN_TOKEN"); token != "" {
			return token, nil
		}
	}
	path := cmp.Or(c.tokenFile, cmp.Or(c.world.getenv("TPGATE_DATA_DIR"), "tpgate-data")+"/admin-token")
	token, err := readSecret(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("there is no admin token in %s: run this where the service was started, or name the file with --admin-token-file", path)
	}
	return token, err
}

// keyPath is the API's path of a key; id "" means all keys of the workspace.
func (c *client) keyPath(id string) string {
	path := "/v1/workspaces/" + url.PathEscape(c.workspace) + "/keys"
	if id != "" {
		path += "/" + url.PathEscape(id)
	}
	return path
}

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
func all[T any](ctx context.Context, api *admin.Client, path string) ([]T, error) {
	list := []T{}
	for path != "" {
		var page []T
		next, err := api.Call(ctx, http.MethodGet, path, nil, &page)
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
