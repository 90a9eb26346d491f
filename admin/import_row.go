package admin

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"tpgate/limiter"
	"tpgate/store"
)

// row is one line of an import as it was written: its columns by name, and what is wrong with those read so far. Columns that mean nothing here are left alone, since imports read other people's tables.
type row struct {
	columns map[string]json.RawMessage
	faults  []error
}

// The costs of bcrypt that an import takes. More would hold a core for seconds at a key's first use.
const (
	minBcryptCost = 4
	maxBcryptCost = 16
)

// parseRow reads a line as a key to import. All that is wrong with it is one error.
func (a *API) parseRow(line []byte, now time.Time) (store.Key, error) {
	if err := checkJSON(line); err != nil {
		return store.Key{}, err
	}
	var r row
	if err := json.Unmarshal(line, &r.columns); err != nil || r.columns == nil {
		return store.Key{}, errors.New("the line is not a JSON object")
	}
	key := store.Key{ID: r.text("id"), Workspace: r.text("workspace_id"), Name: r.text("name"), Hint: r.text("key_hint")}
	if !store.ValidID(key.Workspace) {
		r.fail(fmt.Errorf("workspace_id %q is not 1–64 of A–Z, a–z, 0–9, _ and -", key.Workspace))
	}
	if key.ID != "" && !store.ValidID(key.ID) {
		r.fail(fmt.Errorf("id %q is not 1–64 of A–Z, a–z, 0–9, _ and -", key.ID))
	}
	if err := store.CheckName(key.Name); err != nil {
		r.fail(err)
	}
	if err := store.CheckName(key.Hint); err != nil && key.Hint != "" {
		r.fail(fmt.Errorf("key_hint: %w", err))
	}
	r.fail(a.readHash(&r, &key))
	for _, column := range []struct {
		name string
		time *time.Time
	}{{"expires_at", &key.ExpiresAt}, {"last_used_at", &key.LastUsedAt}, {"created_at", &key.CreatedAt}} {
		t, err := parseColumnTime(r.text(column.name))
		*column.time = t
		if err != nil {
			r.fail(fmt.Errorf("%s: %w", column.name, err))
		}
	}
	if key.CreatedAt.IsZero() {
		key.CreatedAt = now
	}
	if text := r.text("limit"); text != "" {
		limit, err := limiter.Parse(text)
		key.Limit = limit
		r.fail(err)
	}
	disabled, err := r.flag("disabled")
	key.Disabled = disabled
	r.fail(err)
	return key, errors.Join(r.faults...)
}

// readHash reads what the key is verified with: its SHA-256, or TryPost's look-up and bcrypt hash.
func (a *API) readHash(r *row, key *store.Key) error {
	hash, lookup, bcrypted := r.text("sha256"), r.text("token_lookup"), r.text("token_hash")
	switch {
	case hash != "" && bcrypted != "":
		return errors.New("there is sha256 and token_hash: give one of them")
	case hash != "":
		digest, err := parseDigest(hash)
		key.Digest, key.Fingerprint = digest, digest.Fingerprint()
		if key.Hint == "" {
			key.Hint = a.config.Tokens.HintOf("")
		}
		return err
	case bcrypted == "":
		return errors.New("there is neither sha256 nor token_lookup with token_hash")
	}
	if len(lookup) != store.LookupLength || !store.ValidID(lookup) {
		return fmt.Errorf("token_lookup is not the %d characters behind the prefix", store.LookupLength)
	}
	cost, err := bcrypt.Cost([]byte(bcrypted))
	if err != nil || len(bcrypted) != 60 || !strings.HasPrefix(bcrypted, "$2") {
		return errors.New("token_hash is not a bcrypt hash such as $2y$12$…")
	}
	if cost < minBcryptCost || cost > maxBcryptCost {
		return fmt.Errorf("token_hash has cost %d: from %d to %d are possible", cost, minBcryptCost, maxBcryptCost)
	}
	key.Legacy = store.Legacy{Lookup: lookup, Hash: bcrypted}
	key.Digest, key.Fingerprint = store.LookupDigest(lookup), store.FingerprintOf(bcrypted)
	if key.Hint == "" {
		key.Hint = a.config.Tokens.HintOf(lookup)
	}
	return nil
}

// parseDigest reads 32 bytes in hex or base64, of either alphabet, padded or not.
func parseDigest(text string) (store.Digest, error) {
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == len(store.Digest{}) {
		return store.Digest(raw), nil
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if raw, err := base64.RawStdEncoding.DecodeString(plain); err == nil && len(raw) == len(store.Digest{}) {
		return store.Digest(raw), nil
	}
	return store.Digest{}, errors.New("sha256 is not 32 bytes in hex or base64")
}

// parseColumnTime reads a time as SQL writes it ("2026-04-01 10:00:00", in UTC) or as RFC 3339; empty is none.
func parseColumnTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, ok := parseExpiry(text)
	if sql, err := time.Parse("2006-01-02 15:04:05", text); err == nil { // takes a fraction, too
		t, ok = storedTime(sql)
	}
	if !ok {
		return time.Time{}, fmt.Errorf("%q is not a time such as 2026-04-01 10:00:00 or 2026-04-01T10:00:00Z", text)
	}
	return t, nil
}

func (r *row) fail(err error) { r.faults = append(r.faults, err) }

// text returns a column as text, "" for null or none. What is neither a string nor a number is a fault.
func (r *row) text(column string) string {
	if raw := r.columns[column]; len(raw) > 0 && strings.ContainsRune("{[tf", rune(raw[0])) {
		r.fail(fmt.Errorf("%s is neither a string nor a number", column))
	}
	return r.written(column)
}

// written returns a column as it is written, a string without its quotes, "" for null or none.
func (r *row) written(column string) string {
	raw := r.columns[column]
	var text string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return ""
	case json.Unmarshal(raw, &text) == nil:
		return text
	default:
		return string(raw)
	}
}

func (r *row) flag(column string) (bool, error) {
	switch text := r.written(column); strings.ToLower(text) {
	case "", "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	default:
		return false, fmt.Errorf("%s is %q: true or false (1 or 0) are possible", column, text)
	}
}
