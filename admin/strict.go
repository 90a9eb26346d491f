package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a request's JSON.
const (
	maxBody  = 64 << 10 // bytes
	maxDepth = 8
)

// object is a JSON object by field, each value still as it was written.
type object map[string]json.RawMessage

// parseObject reads exactly one JSON object whose fields are all among allowed, each at most once. Names are compared exactly, unlike encoding/json does. An empty body is an object
// without fields.
func parseObject(body []byte, allowed []string) (object, error) {
	o := object{}
	if len(bytes.TrimSpace(body)) == 0 {
		return o, nil
	}
	if err := checkJSON(body); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("the body is not a JSON object")
	}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errors.New("the body is not valid JSON")
		}
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("the field %q is unknown here: possible are %q", name, allowed)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errors.New("the body is not valid JSON")
		}
		o[name] = value
	}
	return o, nil
}

// checkJSON refuses what encoding/json would take and change, or take in more than one way.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the body is not UTF-8")
	}
	if err := checkNesting(body); err != nil {
		return err
	}
	if halfSurrogate(body) {
		return errors.New("the body has half of a surrogate pair")
	}
	return nil
}

// checkNesting refuses JSON that is malformed, nested deeper than maxDepth, names a field twice in any object, or is followed by anything.
func checkNesting(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var names []map[string]bool // of the open objects; nil for an array
	nameNext := false
	for {
		token, err := decoder.Token()
		switch {
		case errors.Is(err, io.EOF) && len(names) == 0:
			return nil
		case err != nil:
			return errors.New("the body is not valid JSON")
		}
		switch t := token.(type) {
		case json.Delim:
			switch t {
			case '{':
				names = append(names, map[string]bool{})
			case '[':
				names = append(names, nil)
			default:
				names = names[:len(names)-1]
			}
			if len(names) > maxDepth {
				return fmt.Errorf("the body is nested deeper than %d levels", maxDepth)
			}
		case string:
			if nameNext {
				if names[len(names)-1][t] {
					return fmt.Errorf("the field %q is there twice", t)
				}
				names[len(names)-1][t] = true
				nameNext = false
				continue
			}
		}
		if len(names) == 0 {
			return onlySpaceAfter(body, decoder.InputOffset())
		}
		nameNext = names[len(names)-1] != nil
	}
}

func onlySpaceAfter(body []byte, offset int64) error {
	if len(bytes.TrimSpace(body[offset:])) > 0 {
		return errors.New("the body has something after its JSON value")
	}
	return nil
}

// halfSurrogate reports whether valid JSON escapes half of a surrogate pair: no character, which encoding/json would replace without a word (RFC 8259 section 8.2).
func halfSurrogate(body []byte) bool {
	for i := bytes.IndexByte(body, '\\'); i >= 0 && i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		i++ // at what is escaped
		first := escapedUnit(body[i-1:])
		if !utf16.IsSurrogate(first) {
			continue
		}
		if utf16.DecodeRune(first, escapedUnit(body[i+5:])) == unicode.ReplacementChar {
			return true
		}
		i += 10 // at the last digit of the pair
	}
	return false
}

// escapedUnit returns the UTF-16 unit of a \uXXXX at the start of text, 0 if there is none.
func escapedUnit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, _ := strconv.ParseUint(string(text[2:6]), 16, 16) // valid JSON has four digits there
	return rune(unit)
}

// isNull reports whether the field is there and null.
func (o object) isNull(name string) bool { return string(o[name]) == "null" }

// has reports whether the field is there, be it null.
func (o object) has(name string) bool { return o[name] != nil }

// text returns a string field; ok is false if the field is there and no string.
func (o object) text(name string) (value string, ok bool) {
	if !o.has(name) {
		return "", true
	}
	return value, json.Unmarshal(o[name], &value) == nil && !o.isNull(name)
}
