package admin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tpgate/store"
)

// ImportLine is the answer to one line of an import.
type ImportLine struct {
	Line    int    `json:"line"`
	Status  string `json:"status"` // imported, exists or error
	ID      string `json:"id,omitempty"`
	Message string `json:"message,omitempty"`
}

// ImportSummary is the last line of the answer to an import.
type ImportSummary struct {
	Imported int `json:"imported"`
	Existing int `json:"existing"`
	Failed   int `json:"failed"`
}

// importBatch is how many lines go to the store at once, and all that an import holds in memory.
const importBatch = 500

// importKeys reads keys line by line and answers line by line, while it reads: an import of any length needs little memory, and what is answered is done.
func (a *API) importKeys(w http.ResponseWriter, r *request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformed(errors.New("its query cannot be read"))
	}
	i := &importing{API: a, request: r, seen: map[string]bool{}}
	switch text := query.Get("dry_run"); {
	case text == "true":
		i.dryRun = true
	case text != "false" && query.Has("dry_run"): // nobody who meant to try it shall have done it
		return malformed(errors.New("dry_run is neither true nor false"))
	}
	if !i.dryRun {
		if err := a.record(r, "keys.import"); err != nil {
			return err
		}
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 has it anyway
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := bufio.NewReaderSize(r.Body, maxBody)
	out := bufio.NewWriter(w)
	for more := true; more; {
		now := time.Now()
		_ = errors.Join(control.SetReadDeadline(now.Add(readTimeout)), control.SetWriteDeadline(now.Add(writeTimeout))) // it then ends at the deadlines of the whole request
		more = i.batch(lines, json.NewEncoder(out))
		if err := out.Flush(); err != nil {
			return nil // the caller has gone, and nobody is there to be told
		}
		_ = control.Flush()
	}
	if err := json.NewEncoder(out).Encode(i.sum); err == nil {
		_ = out.Flush()
	}
	return nil
}

// importing is an import under way.
type importing struct {
	*API
	request *request
	dryRun  bool
	number  int             //  of the last line read
	seen    map[string]bool // dry runs: digests, fingerprints and places of the keys so far
	sum     ImportSummary
}

// batch reads, imports and answers up to importBatch lines. It returns whether there may be more.
func (i *importing) batch(lines *bufio.Reader, out *json.Encoder) bool {
	var answers []ImportLine
	var keys []store.Key
	var at []int // index of the answer of each key
	more := true
	for more && len(answers) < importBatch {
		line, err := readLine(lines)
		more = err == nil || errors.Is(err, errLongLine)
		i.number++
		if len(line) == 0 && !errors.Is(err, errLongLine) {
			if err != nil && !errors.Is(err, io.EOF) {
				answers = append(answers, ImportLine{Line: i.number, Status: "error", Message: "the import ended early: send the rest again"})
			}
			continue
		}
		answer := ImportLine{Line: i.number}
		var key store.Key
		if !errors.Is(err, errLongLine) {
			key, err = i.parseRow(line, time.Now().UTC())
		}
		if err != nil {
			answer.Status, answer.Message = "error", strings.ReplaceAll(err.Error(), "\n", "; ")
		} else {
			keys, at = append(keys, key), append(at, len(answers))
		}
		answers = append(answers, answer)
	}
	for n, err := range i.store(keys) {
		answers[at[n]].ID = keys[n].ID
		i.word(&answers[at[n]], err)
	}
	for n := range answers {
		i.count(answers[n].Status)
		if out.Encode(&answers[n]) != nil {
			return false
		}
	}
	return more
}

// store imports keys, or in a dry run says what would become of them.
func (i *importing) store(keys []store.Key) []error {
	switch {
	case len(keys) == 0:
		return nil
	case !i.dryRun:
		return i.config.Store.Import(i.request.Context(), keys)
	}
	errs := make([]error, len(keys))
	for n := range keys {
		if errs[n] = i.config.Store.Foresee(i.request.Context(), &keys[n]); errs[n] == nil {
			errs[n] = i.repeats(&keys[n])
		}
	}
	return errs
}

// repeats returns what a key would be refused with for the sake of one before it, and otherwise notes it.
func (i *importing) repeats(key *store.Key) error {
	digest, fingerprint, place := string(key.Digest[:]), string(key.Fingerprint[:]), key.Workspace+"/"+key.ID
	switch {
	case i.seen[digest] || i.seen[fingerprint]:
		return store.ErrExists
	case key.ID != "" && i.seen[place]:
		return store.ErrIDTaken
	}
	i.seen[digest], i.seen[fingerprint], i.seen[place] = true, true, true
	return nil
}

// word says what became of a key.
func (i *importing) word(answer *ImportLine, err error) {
	switch {
	case err == nil:
		answer.Status = "imported"
	case errors.Is(err, store.ErrExists):
		answer.Status = "exists"
	default:
		answer.Status, answer.ID, answer.Message = "error", "", i.failureOf(err).Message
	}
}

func (i *importing) count(status string) {
	switch status {
	case "imported":
		i.sum.Imported++
	case "exists":
		i.sum.Existing++
	default:
		i.sum.Failed++
	}
}

var errLongLine = fmt.Errorf("the line is longer than %d bytes", maxBody)

// readLine reads one line without its end. A line that does not fit is skipped, and is errLongLine; io.EOF comes with the last one.
func readLine(lines *bufio.Reader) ([]byte, error) {
	line, err := lines.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		return nil, errLongLine
	}
	return bytes.TrimSpace(line), err
}
