package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
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

// lineReader returns a function that returns the next key of the file as a JSON object, with the line that it stands on. A file that does not begin with "{" is CSV.
func lineReader(file *bufio.Reader) (func() ([]byte, int, error), error) {
	blank := 0 // lines in front
	first, err := file.Peek(1)
	for err == nil && (first[0] == '\n' || first[0] == '\r' || first[0] == ' ') {
		if first[0] == '\n' {
			blank++
		}
		_, _ = file.Discard(1)
		first, err = file.Peek(1)
	}
	if errors.Is(err, io.EOF) {
		return nil, errors.New("there is nothing in it")
	}
	if err != nil {
		return nil, err
	}
	if first[0] == '{' {
		number := blank
		return func() ([]byte, int, error) {
			line, err := file.ReadBytes('\n')
			number++
			if errors.Is(err, io.EOF) && len(bytes.TrimSpace(line)) > 0 {
				err = nil
			}
			return bytes.TrimSpace(line), number, err
		}, nil
	}
	records := csv.NewReader(file)
	header, err := records.Read()
	if err != nil {
		return nil, err
	}
	columns := append([]string(nil), header...)
	records.ReuseRecord = true
	return func() ([]byte, int, error) {
		record, err := records.Read()
		if err != nil {
			return nil, 0, err
		}
		number, _ := records.FieldPos(0)
		fields := make(map[string]string, len(columns))
		for n, column := range columns {
			fields[column] = record[n]
		}
		line, err := json.Marshal(fields)
		return line, blank + number, err
	}, nil
}

// importing is an import under way.
type importing struct {
	*client
	dryRun bool
	sum    admin.ImportSummary
}

// all sends the file in chunks.
func (i *importing) all(ctx context.Context, next func() ([]byte, int, error)) error {
	for {
		var body bytes.Buffer
		var numbers []int
		var err error
		for len(numbers) < importChunk && err == nil {
			var line []byte
			var number int
			if line, number, err = next(); err == nil && len(line) > 0 {
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
		switch {
		case i.json:
			if err := json.NewEncoder(i.world.stdout).Encode(line); err != nil {
				return err
			}
		case line.Status == "error" || i.dryRun:
			fmt.Fprintf(i.world.stderr, "line %d: %s %s%s\n", line.Line, line.Status, line.ID, plain(line.Message))
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
