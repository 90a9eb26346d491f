package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

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
