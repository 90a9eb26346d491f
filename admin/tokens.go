package admin

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"tpgate/store"
)

// Token is a further admin token: who holds it, what it may do, and where.
type Token struct{ caller }

// ParseTokens reads a file of admin tokens, one a line: NAME SHA256HEX WORKSPACE|* admin|keys|read. Empty lines and those that begin with # say nothing.
// The error lists what is wrong, line by line.
func ParseTokens(text string) ([]Token, error) {
	var tokens []Token
	var faults []error
	names := map[string]bool{"admin": true} // the token of --admin-token-file
	number := 0
	for line := range strings.Lines(text) {
		number++
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		token, err := parseToken(fields)
		if err == nil && names[token.name] {
			err = fmt.Errorf("the name %q is there already", token.name)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", number, err))
			continue
		}
		names[token.name] = true
		tokens = append(tokens, token)
	}
	return tokens, errors.Join(faults...)
}

func parseToken(fields []string) (Token, error) {
	if len(fields) != 4 {
		return Token{}, errors.New("it is not NAME SHA256HEX WORKSPACE|* admin|keys|read")
	}
	digest, err := hex.DecodeString(fields[1])
	c := caller{name: fields[0], role: map[string]role{"read": roleRead, "keys": roleKeys, "admin": roleAdmin}[fields[3]]}
	switch {
	case !store.ValidID(c.name):
		return Token{}, fmt.Errorf("the name %q is not 1–64 of A–Z, a–z, 0–9, _ and -", c.name)
	case err != nil || copy(c.digest[:], digest) != len(c.digest) || len(digest) != len(c.digest):
		return Token{}, errors.New("the second word is not a SHA-256 in hex (printf %s TOKEN | sha256sum makes one)")
	case fields[2] != "*" && !store.ValidID(fields[2]):
		return Token{}, fmt.Errorf("%q is neither a workspace nor *", fields[2])
	case c.role == 0:
		return Token{}, fmt.Errorf("the role %q is none of admin, keys, read", fields[3])
	}
	if fields[2] != "*" {
		c.workspace = fields[2]
	}
	return Token{c}, nil
}
