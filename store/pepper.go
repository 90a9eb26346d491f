package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"
)

// LookupDigest returns the digest under which the index holds a bcrypt row: of its look-up, not of a key. No key has this digest, as what is hashed is no well-formed key.
func LookupDigest(lookup string) Digest { return sha256.Sum256([]byte("lookup " + lookup)) }

// FingerprintOf returns the fingerprint of an imported key: of the hash that it was imported with.
func FingerprintOf(hash string) Digest { return sha256.Sum256([]byte("imported " + hash)) }

// Fingerprint returns the fingerprint of a key that is imported with this digest as "sha256".
func (d Digest) Fingerprint() Digest { return FingerprintOf(hex.EncodeToString(d[:])) }

// LookupLength is how many characters behind the prefix TryPost keeps in clear.
const LookupLength = 16

// HintOf returns the hint of a key of which at most the look-up is known.
func (t Tokens) HintOf(lookup string) string { return t.prefix + lookup[:min(4, len(lookup))] + "…" }

// Lookup returns what TryPost keeps in clear of a well-formed key.
func (t Tokens) Lookup(credential string) string {
	return credential[len(t.prefix) : len(t.prefix)+LookupLength]
}

// pepper makes digests under one secret of the service: HMAC-SHA-256 (RFC 2104). A hash that was set up once is used again, as setting it up costs more than using it.
type pepper struct{ hashes *sync.Pool }

func newPepper(secret []byte) pepper {
	return pepper{&sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

func (p pepper) digest(credential []byte) (d Digest) {
	h := p.hashes.Get().(hash.Hash)
	defer p.hashes.Put(h)
	h.Reset()
	h.Write(credential)
	h.Sum(d[:0])
	return d
}
