package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"tpgate/admin"
)

// importChunk is how many lines go into one request: an import can be cut off and begun anew at any time, and its progress is seen.
const importChunk = 1000

func importKeys(ctx context.Context, w world, args []string) error {
	c, dryRun := newClient(w, "keys import", "FILE"), false
	c.bool(&dryRun, "dry-run", "say what would become of each line, and change nothing")
	rest, err := c.open(args, 1)
	if err != nil {
		return err
	}
	file := os.Stdin
	if rest[0] != "-" {
		if file, err = os.Open(rest[0]); err != nil {
			return fmt.Errorf("reading the keys: %w", err)
		}
		defer file.Close()
	}
	next, err := lineReader(bufio.NewReaderSize(file, 64<<10))
	if err != nil {
		return fmt.Errorf("reading %s: %w", rest[0], err)
	}
	i := &importing{client: c, dryRun: dryRun}
	if err := i.all(ctx, next); err != nil {
		return err
	}
	return i.end()
}

// importing is an import under way.
type importing struct {
	*client
	dryRun bool
	sum    admin.ImportSummary
}

// all sends the file in chunks.
func (i *importing) all(ctx context.Context, next lines) error {
	for {
		var body bytes.Buffer
		var numbers []int
		var err error
		for len(numbers) < importChunk && err == nil {
			var line []byte
			var number int
			line, number, err = next()
			if bad, ok := errors.AsType[badLine](err); ok {
				i.sum.Failed++
				err = i.tell(admin.ImportLine{Line: number, Status: "error", Message: bad.Error()})
			} else if err == nil && len(line) > 0 {
				body.Write(line)
				body.WriteByte('\n')
				numbers = append(numbers, number)
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading the keys: %w (what was sent is imported: run the same command again after mending the file)", err)
		}
		if len(numbers) > 0 {
			if err := i.chunk(ctx, &body, numbers); err != nil {
				return fmt.Errorf("%w\n%d lines are imported: run the same command again, those that are there already change nothing", err, i.sum.Imported)
			}
		}
		if err != nil {
			return nil
		}
		fmt.Fprintf(i.world.stderr, "%d lines\n", i.sum.Imported+i.sum.Existing+i.sum.Failed)
	}
}

// chunk sends lines, which stand on these lines of the file, and prints what went wrong with them (in a dry run: what would become of all).
func (i *importing) chunk(ctx context.Context, body io.Reader, numbers []int) error {
	path := "/v1/import"
	if i.dryRun {
		path += "?dry_run=true"
	}
	answer, err := i.api.Stream(ctx, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	decoder := json.NewDecoder(answer)
	for range numbers {
		var line admin.ImportLine
		if err := decoder.Decode(&line); err != nil {
			return fmt.Errorf("the answer ended early: %w", err)
		}
		if line.Line >= 1 && line.Line <= len(numbers) {
			line.Line = numbers[line.Line-1]
		}
		if err := i.tell(line); err != nil {
			return err
		}
	}
	var sum admin.ImportSummary
	if err := decoder.Decode(&sum); err != nil {
		return fmt.Errorf("the answer ended early: %w", err)
	}
	i.sum.Imported += sum.Imported
	i.sum.Existing += sum.Existing
	i.sum.Failed += sum.Failed
	return nil
}

// tell prints what became of a line, if that is wanted.
func (i *importing) tell(line admin.ImportLine) error {
	if i.json {
		return json.NewEncoder(i.world.stdout).Encode(line)
	}
	if line.Status == "error" || i.dryRun {
		fmt.Fprintf(i.world.stderr, "line %d: %s %s%s\n", line.Line, line.Status, line.ID, plain(line.Message))
	}
	return nil
}

// end prints the sum. Lines that failed are a failure of the command.
func (i *importing) end() error {
	if i.json {
		if err := json.NewEncoder(i.world.stdout).Encode(i.sum); err != nil {
			return err
		}
	}
	verb := "imported"
	if i.dryRun {
		verb = "would be imported"
	}
	fmt.Fprintf(i.world.stderr, "%d %s, %d existed already, %d failed\n", i.sum.Imported, verb, i.sum.Existing, i.sum.Failed)
	if i.sum.Failed > 0 {
		return fmt.Errorf("%d lines were not imported: mend them and run the same command again", i.sum.Failed)
	}
	return nil
}

func exportKeys(ctx context.Context, w world, args []string) error {
	c := newClient(w, "keys export", "")
	if _, err := c.open(args, 0); err != nil {
		return err
	}
	c.api.HTTP.Timeout = 0 // a million keys take longer than other answers
	answer, err := c.api.Stream(ctx, http.MethodGet, "/v1/export", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	if _, err := io.Copy(w.stdout, answer); err != nil {
		return fmt.Errorf("the export ended early, and is not whole: %w", err)
	}
	return c.tellSettings(ctx)
}

// tellSettings says on stderr what the lines of an export have no place for: the settings of workspaces, as the commands that restore them.
func (c *client) tellSettings(ctx context.Context) error {
	workspaces, err := all[admin.Workspace](ctx, c, "/v1/workspaces?limit=1000")
	if err != nil {
		return fmt.Errorf("all keys are exported, but the settings of workspaces could not be read: %w", err)
	}
	heading := "Settings of workspaces are not in the export. To restore them:\n"
	for _, w := range workspaces {
		settings := ""
		if w.Limit != nil {
			settings += " --limit " + *w.Limit
		}
		if w.Suspended {
			settings += " --suspended"
		}
		if settings != "" {
			fmt.Fprintf(c.world.stderr, "%s  tpgate workspaces update %s%s\n", heading, w.ID, settings)
			heading = ""
		}
	}
	return nil
}
