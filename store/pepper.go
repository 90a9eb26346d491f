package store

import (
	"crypto/hmac"
	"crypto/sha256"
)

// LookupDigest returns the digest under which the index holds a bcrypt row: of its look-up, not of a key. No key has this digest, as what is hashed is no well-formed key.
func LookupDigest(lookup string) Digest { return sha256.Sum256([]byte("lookup " + lookup)) }

// FingerprintOf returns the fingerprint of an imported key: of the hash that it was imported with.
func FingerprintOf(hash string) Digest { return sha256.Sum256([]byte("imported " + hash)) }

// lookupLength is how many characters behind the prefix TryPost keeps in clear.
const lookupLength = 16

// Lookup returns what TryPost keeps in clear of a well-formed key.
func (t Tokens) Lookup(credential string) string {
	return credential[len(t.prefix) : len(t.prefix)+lookupLength]
}

// digest is the form of a credential under one pepper: HMAC-SHA-256, or SHA-256 if it is empty.
func digest(pepper, credential []byte) Digest {
	if len(pepper) == 0 {
		return sha256.Sum256(credential)
	}
	mac := hmac.New(sha256.New, pepper)
	mac.Write(credential)
	return Digest(mac.Sum(nil))
}
