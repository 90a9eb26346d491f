package store

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// Digest is SHA-256 over a whole key, or HMAC-SHA-256 under a pepper: all that is ever kept of its secret. A fast hash is right because the secret has 285 random bits; nobody can guess towards it.
type Digest [sha256.Size]byte

// secretLength is the number of random characters after the prefix: 48 × log2(62) = 285 bits.
const secretLength = 48

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Tokens makes and reads the keys that begin with one prefix. Use [NewTokens].
type Tokens struct {
	prefix  string
	peppers []pepper // the first is current; none: no pepper
}

// NewTokens returns the format with this prefix: 1–16 of [A-Za-z0-9_-], such as "tp_".
func NewTokens(prefix string) (Tokens, error) {
	if !ValidID(prefix) || len(prefix) > 16 {
		return Tokens{}, fmt.Errorf("the key prefix %q is not 1–16 of A–Z, a–z, 0–9, _ and -: use one such as tp_", prefix)
	}
	return Tokens{prefix: prefix}, nil
}

// New returns a new secret key: the prefix and 48 characters of [A-Za-z0-9] from crypto/rand.
func (t Tokens) New() string { return t.prefix + random(secretLength) }

// NewID returns a new random id for a key: 16 characters of [A-Za-z0-9], 95 bits.
func NewID() string { return random(16) }

// Digest returns the digest of a presented credential, and false if it cannot be a key: wrong prefix, length or alphabet. It keeps no reference to credential and does not allocate.
func (t Tokens) Digest(credential []byte) (Digest, bool) {
	if !t.wellFormed(credential) {
		return Digest{}, false
	}
	return t.current(credential), true
}

// Older returns the other forms under which a well-formed credential may be stored: of peppers that are not current, and without any. Nil without peppers.
func (t Tokens) Older(credential []byte) []Digest {
	var older []Digest
	for i := 1; i < len(t.peppers); i++ {
		older = append(older, t.peppers[i].digest(credential))
	}
	if len(t.peppers) > 0 {
		older = append(older, sha256.Sum256(credential))
	}
	return older
}

func (t Tokens) current(credential []byte) Digest {
	if len(t.peppers) == 0 {
		return sha256.Sum256(credential)
	}
	return t.peppers[0].digest(credential)
}

// DigestOf returns the digest of a key that this process has made.
func (t Tokens) DigestOf(secret string) Digest { return t.current([]byte(secret)) }

// WithPeppers returns the same format with HMAC-SHA-256 under the first of these peppers; the others, and no pepper, still verify ([Tokens.Older]).
// Each is 16 bytes or more, from a file of their own. It returns an error that says what is wrong with them.
func (t Tokens) WithPeppers(peppers [][]byte) (Tokens, error) {
	t.peppers = nil
	for i, p := range peppers {
		if len(p) < 16 {
			return Tokens{}, fmt.Errorf("pepper %d has %d characters: at least 16 are needed (openssl rand -hex 32 makes one)", i+1, len(p))
		}
		t.peppers = append(t.peppers, newPepper(p))
	}
	return t, nil
}

// Hint returns what lists show of a key: the prefix, four characters and "…". The four are 24 of 285 bits.
func (t Tokens) Hint(secret string) string { return secret[:len(t.prefix)+4] + "…" }

func (t Tokens) wellFormed(credential []byte) bool {
	if len(credential) != len(t.prefix)+secretLength || string(credential[:len(t.prefix)]) != t.prefix {
		return false
	}
	for _, c := range credential[len(t.prefix):] {
		if !alphanumeric[c] {
			return false
		}
	}
	return true
}

// alphanumeric is true for the bytes of the alphabet.
var alphanumeric = func() (is [256]bool) {
	for i := range len(alphabet) {
		is[alphabet[i]] = true
	}
	return is
}()

// idOf returns an id that is always the same for the digest.
func idOf(d Digest) string {
	id := make([]byte, 16)
	for i := range id {
		id[i] = alphabet[d[i]%62]
	}
	return string(id)
}

// random returns n characters of the alphabet, uniformly: bytes of 248 and more are thrown away, as 248 is the largest multiple of 62.
func random(n int) string {
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(out) < n {
		_, _ = rand.Read(buf) // never returns an error: it ends the program instead (crypto/rand)
		for _, b := range buf {
			if b < 248 && len(out) < n {
				out = append(out, alphabet[b%62])
			}
		}
	}
	return string(out)
}
