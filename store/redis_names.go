package store

import (
	"fmt"
	"strings"
)

// Names in Redis. Everything of a workspace stands in one hash slot, that of {workspace}; the index is spread over 1,024 buckets of their own slots.
//
//	PREFIX:store              the store: hash of its id, whether its index is complete, whether it has had bcrypt rows
//	PREFIX:workspaces         sorted set of all workspaces that have settings
//	PREFIX:sweep              set of workspaces with dead keys
//	PREFIX:audit              stream: the audit trail
//	PREFIX:revocations        stream: keys that stopped being valid
//	PREFIX:note:NAME          a note, such as what an Idempotency-Key has made
//	PREFIX:index:0000…1023    hash: digest → place "workspace/id"; field "" holds the store's id
//	PREFIX:{W}:s              settings of workspace W
//	PREFIX:{W}:keys           sorted set of its keys: "created at/id"
//	PREFIX:{W}:dead           the same, of keys that were deleted all at once
//	PREFIX:{W}:k:ID           record of a key
//	PREFIX:{W}:w:ID           list of a key's admissions, but for the oldest and the newest, which its record has
//	PREFIX:{W}:w              the same of the workspace's admissions
//	PREFIX:{W}:u:DAY:ID       how often a key was used on a day, by the hour (usage.go)
type names struct {
	prefix string
	index  *[buckets]bucket
}

const buckets = 1024

// bucket is a part of the index: the name of its hash, and its slot on a Cluster.
type bucket struct {
	name string
	slot uint16
}

func newNames(prefix string) names {
	n := names{prefix: prefix, index: new([buckets]bucket)}
	for i := range n.index {
		name := fmt.Sprintf("%s:index:%04d", prefix, i)
		n.index[i] = bucket{name, slotOf(name)}
	}
	return n
}

func (n names) store() string      { return n.prefix + ":store" }
func (n names) workspaces() string { return n.prefix + ":workspaces" }
func (n names) sweep() string      { return n.prefix + ":sweep" }

func (n names) audit() string       { return n.prefix + ":audit" }
func (n names) revocations() string { return n.prefix + ":revocations" }

func (n names) note(name string) string { return n.prefix + ":note:" + name }

// bucketOf returns the bucket of a digest: that of its first ten bits.
func (n names) bucketOf(d Digest) *bucket { return &n.index[int(d[0])<<2|int(d[1])>>6] }

func (n names) of(workspace, what string) string { return n.prefix + ":{" + workspace + "}:" + what }

func (n names) settings(workspace string) string { return n.of(workspace, "s") }
func (n names) keys(workspace string) string     { return n.of(workspace, "keys") }
func (n names) dead(workspace string) string     { return n.of(workspace, "dead") }

func (n names) record(p place) string { return n.of(p.workspace, "k:"+p.id) }
func (n names) window(p place) string { return n.of(p.workspace, "w:"+p.id) }

// usage is the name of a key's usage on a day.
func (n names) usage(p place, day int64) string {
	return n.of(p.workspace, fmt.Sprintf("u:%d:%s", day, p.id))
}

// place is where a key lives. It never changes.
type place struct{ workspace, id string }

func (p place) String() string { return p.workspace + "/" + p.id }

func parsePlace(text string) (place, bool) {
	workspace, id, ok := strings.Cut(text, "/")
	return place{workspace, id}, ok && ValidID(workspace) && ValidID(id)
}

// member is a key's entry in the sorted set of its workspace: its position.
func member(key *Key) string { return memberAt(Position{key.CreatedAt, key.ID}) }

func memberAt(p Position) string {
	return fmt.Sprintf("%015d/%s", max(p.CreatedAt.UnixMilli(), 0), p.ID)
}

func memberID(member string) string {
	_, id, _ := strings.Cut(member, "/")
	return id
}
