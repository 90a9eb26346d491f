package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// sealedLayout is the layout of all records in the key file:
//
//	layout 1 byte | CRC-32C over name and JSON, 4 bytes | JSON
//
// The sum is there because a flipped bit in a digest, a limit or "disabled" would otherwise pass for what somebody has set.
const sealedLayout = '1'

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keyRecord is a key in the file. Times are milliseconds since 1970, 0: none. New fields may be added: an absent one is zero.
type keyRecord struct {
	Name          string `json:"name"`
	Hint          string `json:"hint"`
	Digest        []byte `json:"digest"`
	Previous      []byte `json:"previous,omitempty"`
	PreviousUntil int64  `json:"previous_until,omitempty"`
	ExpiresAt     int64  `json:"expires_at,omitempty"`
	CreatedAt     int64  `json:"created_at"`
	Limit         string `json:"limit,omitempty"`
	Disabled      bool   `json:"disabled,omitempty"`
	Version       int64  `json:"version"`
	LegacyLookup  string `json:"legacy_lookup,omitempty"`
	LegacyHash    string `json:"legacy_hash,omitempty"`
	Fingerprint   []byte `json:"fingerprint,omitempty"`
}

// workspaceRecord is a workspace's settings in the file.
type workspaceRecord struct {
	Limit     string `json:"limit,omitempty"`
	Suspended bool   `json:"suspended,omitempty"`
	Version   int64  `json:"version"`
}

// seal returns the record of this name as the file holds it.
func seal(name []byte, record any) []byte {
	text, _ := json.Marshal(record) // strings, bytes, numbers and bools always encode
	sealed := append(make([]byte, 0, 5+len(text)), sealedLayout)
	sealed = binary.BigEndian.AppendUint32(sealed, sum(name, text))
	return append(sealed, text...)
}

// unseal is the reverse of seal.
func unseal(name string, sealed []byte, record any) error {
	switch {
	case len(sealed) < 5:
		return errors.New("the record is too short: the file is damaged, restore it from a backup")
	case sealed[0] != sealedLayout:
		return fmt.Errorf("the record has layout %q: it was written by a newer tpgate, use that one, or the file is damaged", sealed[0])
	case binary.BigEndian.Uint32(sealed[1:]) != sum([]byte(name), sealed[5:]):
		return errors.New("the record does not have its checksum: the file is damaged, restore it from a backup")
	}
	return json.Unmarshal(sealed[5:], record)
}

func sum(name, text []byte) uint32 {
	return crc32.Update(crc32.Checksum(name, castagnoli), castagnoli, text)
}

func parseKeyRecord(name string, sealed []byte) (Key, error) {
	var record keyRecord
	if err := unseal(name, sealed, &record); err != nil {
		return Key{}, err
	}
	workspace, id, _ := strings.Cut(name, "/")
	limit, err := parseStoredLimit(record.Limit)
	switch {
	case err != nil:
		return Key{}, err
	case !ValidID(workspace) || !ValidID(id):
		return Key{}, errors.New("the record's name is not WORKSPACE/ID")
	case len(record.Digest) != len(Digest{}), !optionalDigest(record.Previous), !optionalDigest(record.Fingerprint):
		return Key{}, errors.New("the record has a digest of the wrong length")
	}
	key := Key{
		ID: id, Workspace: workspace, Name: record.Name, Hint: record.Hint, Digest: Digest(record.Digest), Limit: limit,
		PreviousUntil: timeOf(record.PreviousUntil), ExpiresAt: timeOf(record.ExpiresAt), CreatedAt: timeOf(record.CreatedAt),
		Disabled: record.Disabled, Version: record.Version, Legacy: Legacy{record.LegacyLookup, record.LegacyHash},
	}
	copy(key.Previous[:], record.Previous)
	copy(key.Fingerprint[:], record.Fingerprint)
	return key, nil
}

func optionalDigest(stored []byte) bool { return len(stored) == 0 || len(stored) == len(Digest{}) }

// orNone returns the digest as it is stored: nil for the zero one.
func (d *Digest) orNone() []byte {
	if *d == (Digest{}) {
		return nil
	}
	return d[:]
}

func parseWorkspaceRecord(name string, sealed []byte) (Workspace, error) {
	var record workspaceRecord
	if err := unseal(name, sealed, &record); err != nil {
		return Workspace{}, err
	}
	limit, err := parseStoredLimit(record.Limit)
	if err != nil {
		return Workspace{}, err
	}
	return Workspace{ID: name, Limit: limit, Suspended: record.Suspended, Version: record.Version}, nil
}
