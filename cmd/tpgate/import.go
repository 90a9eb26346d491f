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
	"slices"
	"strings"
	"unicode/utf8"

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

// lines reads the keys of a file one by one: each as a JSON object, with the line that it stands on. It returns io.EOF at the end, and a badLine if the next ones may be read all the same.
type lines func() (object []byte, number int, err error)

// badLine is what is wrong with a line that cannot even be sent.
type badLine struct{ error }

// lineReader returns the lines of a file, NDJSON or CSV. A file that does not begin with "{" is CSV.
func lineReader(file *bufio.Reader) (lines, error) {
	if mark, _ := file.Peek(3); string(mark) == "\ufeff" { // spreadsheets put it in front of UTF-8
		_, _ = file.Discard(3)
	}
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
	if first[0] != '{' {
		return csvLines(file, blank)
	}
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

// csvLines returns the records of a CSV file (RFC 4180) whose header stands behind so many blank lines.
func csvLines(file io.Reader, blank int) (lines, error) {
	records := csv.NewReader(file)
	header, err := records.Read()
	if err != nil {
		return nil, err
	}
	columns := make([]string, len(header))
	for n, name := range header {
		columns[n] = strings.TrimSpace(name)
		if columns[n] != "" && slices.Contains(columns[:n], columns[n]) {
			return nil, fmt.Errorf("the header has the column %q twice", columns[n])
		}
	}
	if !slices.Contains(columns, "workspace_id") {
		return nil, fmt.Errorf("it is neither NDJSON, which begins with {, nor CSV with a column workspace_id (its first line has the columns %q)", columns)
	}
	records.ReuseRecord = true
	return func() ([]byte, int, error) {
		record, err := records.Read()
		if fault, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, blank + fault.StartLine, badLine{csvFault(fault)}
		}
		if err != nil {
			return nil, 0, err
		}
		number, _ := records.FieldPos(0)
		fields := make(map[string]string, len(columns))
		for n, column := range columns {
			if fields[column] = record[n]; !utf8.ValidString(record[n]) {
				return nil, blank + number, badLine{fmt.Errorf("%s is not UTF-8", column)}
			}
		}
		line, err := json.Marshal(fields)
		return line, blank + number, err
	}, nil
}

// csvFault says what is wrong with a record. A quote that nothing closes makes one record of all lines behind it.
func csvFault(fault *csv.ParseError) error {
	if more := fault.Line - fault.StartLine; more > 0 {
		return fmt.Errorf("%w; %d more lines belong to it so", fault.Err, more)
	}
	return fault.Err
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
