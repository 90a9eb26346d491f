package store_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tpgate/store"
)

// wantAnew fails unless the check comes to this verdict in a store that has just been opened, so that it remembers no place.
func wantAnew(t *testing.T, config store.RedisConfig, digest store.Digest, want store.Verdict) {
	t.Helper()
	s := openRedis(t, config)
	if d := s.Verify(digest, time.Now().Add(5*time.Second)); d.Verdict != want {
		t.Fatalf("the check came to %v (error %v), want %v", d.Verdict, d.Err, want)
	}
}

// TestRedisSweep deletes all keys of a workspace, has some of them come back before the sweep, and looks what it leaves.
func TestRedisSweep(t *testing.T) {
	config := redisConfig(redisServer(t))
	s := openRedis(t, config)
	ctx := t.Context()
	var keys []store.Key
	for range 450 {
		keys = append(keys, newKey(t, s, "acme", ""))
	}
	if err := s.DeleteKeys(ctx, "acme"); err != nil {
		t.Fatal(err)
	}
	back := keys[:3]
	for _, key := range back {
		if _, err := s.Create(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys[:6] {
		want := store.Unknown
		if i < len(back) {
			want = store.Allowed
		}
		wantAnew(t, config, key.Digest, want)
	}
	client := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(config.URL, "redis://")})
	defer client.Close()
	records, err := client.Keys(ctx, "tpgate:{acme}:k:*").Result()
	if err != nil || len(records) != len(back) {
		t.Fatalf("%d records are left (error %v), want %d", len(records), err, len(back))
	}
	entries := 0
	for _, name := range client.Keys(ctx, "tpgate:index:*").Val() {
		entries += int(client.HLen(ctx, name).Val()) - 1
	}
	if entries != len(back) || client.Exists(ctx, "tpgate:{acme}:dead").Val() != 0 || client.SCard(ctx, "tpgate:sweep").Val() != 0 {
		t.Fatalf("%d index entries are left, want %d", entries, len(back))
	}
}

// TestRedisRepair takes index entries away, as a failover does that lost the last writes, and has them written back.
func TestRedisRepair(t *testing.T) {
	config := redisConfig(redisServer(t))
	s := openRedis(t, config)
	ctx := t.Context()
	var keys []store.Key
	for i := range 450 {
		keys = append(keys, newKey(t, s, []string{"acme", "other"}[i%2], ""))
	}
	rotated, err := s.UpdateKey(ctx, keys[0].Workspace, keys[0].ID, func(k *store.Key) error {
		k.Previous, k.PreviousUntil, k.Digest = k.Digest, time.Now().Add(time.Hour), store.Digest{1, 2, 3}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	deleted := newKey(t, s, "acme", "")
	if err := s.DeleteKey(ctx, "acme", deleted.ID); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(config.URL, "redis://")})
	defer client.Close()
	for _, name := range client.Keys(ctx, "tpgate:index:*").Val() {
		for field := range client.HGetAll(ctx, name).Val() {
			if field != "" {
				client.HDel(ctx, name, field)
			}
		}
	}
	client.Set(ctx, "tpgate:{acme}:k:"+keys[2].ID, "damaged", 0)
	wantAnew(t, config, keys[1].Digest, store.Unknown)
	for range 2 {
		if err := s.Repair(ctx); err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{0, 1, 4, 200, 449} {
			wantAnew(t, config, keys[i].Digest, store.Allowed)
		}
		wantAnew(t, config, rotated.Digest, store.Allowed)
		wantAnew(t, config, deleted.Digest, store.Unknown)
		wantAnew(t, config, keys[2].Digest, store.Unknown)
	}
}

// TestRedisImportCutOff ends the connection to Redis after each of an import's steps, and imports again.
func TestRedisImportCutOff(t *testing.T) {
	config := redisConfig(redisServer(t))
	whole := openRedis(t, config)
	l := newLine(t, strings.TrimPrefix(config.URL, "redis://"))
	config.URL = "redis://" + l.address
	failed := 0
	for trips := range int64(14) {
		given := make([]store.Key, 3)
		for i := range given {
			given[i] = store.Key{Workspace: "acme", Name: "ci", Hint: "tp_abcd…", CreatedAt: time.Now()}
			_, _ = rand.Read(given[i].Digest[:])
			given[i].Fingerprint = given[i].Digest.Fingerprint()
		}
		s := openRedis(t, config)
		l.cutAt.Store(l.trips.Load() + 1 + trips)
		first := slices.Clone(given)
		errs := s.Import(t.Context(), first)
		l.cutAt.Store(0)
		_ = s.Close()
		again := slices.Clone(given)
		for i, err := range whole.Import(t.Context(), again) {
			if err != nil && !errors.Is(err, store.ErrExists) {
				t.Fatalf("cut after %d trips: %v", trips, err)
			}
			if errs[i] != nil {
				failed++
			} else if err == nil || again[i].ID != first[i].ID {
				t.Fatalf("cut after %d trips: the key was imported as %s, and again as %s (error %v)", trips, first[i].ID, again[i].ID, err)
			}
			d := whole.Verify(given[i].Digest, time.Now().Add(5*time.Second))
			if d.Verdict != store.Allowed || d.KeyID != again[i].ID {
				t.Fatalf("cut after %d trips: the check came to %v of key %s, want key %s", trips, d.Verdict, d.KeyID, again[i].ID)
			}
		}
		if keys, err := whole.ListKeys(t.Context(), "acme", store.Position{}, 10); err != nil || len(keys) != len(given) {
			t.Fatalf("cut after %d trips: %d keys are there (error %v), want %d", trips, len(keys), err, len(given))
		}
		if err := whole.DeleteKeys(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		for i, err := range whole.Import(t.Context(), given) {
			if !errors.Is(err, store.ErrExists) {
				t.Fatalf("cut after %d trips: the deleted key %d is imported again: %v", trips, i, err)
			}
		}
	}
	if failed < 6 {
		t.Fatalf("%d rows failed at first: the line was not cut in mid-import", failed)
	}
}

// TestRedisLegacyKnownFromTheStart opens a store that holds bcrypt rows.
func TestRedisLegacyKnownFromTheStart(t *testing.T) {
	config := redisConfig(redisServer(t))
	row := store.Key{Workspace: "acme", Name: "ci", CreatedAt: time.Now(), Legacy: store.Legacy{Lookup: "abcdefghijklmnop", Hash: "$2y$04$…"}}
	row.Digest, row.Fingerprint = store.LookupDigest(row.Legacy.Lookup), store.FingerprintOf(row.Legacy.Hash)
	if err := openRedis(t, config).Import(t.Context(), []store.Key{row})[0]; err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if !openRedis(t, config).HasLegacy() {
			t.Fatal("a store that has just been opened does not know of its bcrypt rows")
		}
	}
}
