package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// fit checks what a store needs of Redis: a version with the commands that the scripts use, and a memory policy that never throws keys away. All faults are reported at once.
func (r *Redis) fit(ctx context.Context) error {
	info, err := r.control.Info(ctx, "server", "memory").Result()
	if err != nil {
		return fmt.Errorf("connecting to Redis: %w", err)
	}
	return errors.Join(fitVersion(info), r.fitPolicy(ctx, info))
}

func fitVersion(info string) error {
	name, least, version := "Redis", "6.2", infoField(info, "redis_version")
	if valkey := infoField(info, "valkey_version"); valkey != "" {
		name, least, version = "Valkey", "7.2", valkey
	}
	if !atLeast(version, least) {
		return fmt.Errorf("%s %s is too old: %s or newer is needed", name, version, least)
	}
	return nil
}

// fitPolicy reads the policy from INFO, and where a provider leaves it out there, from CONFIG; where that is forbidden too, nobody can tell, and it says so.
func (r *Redis) fitPolicy(ctx context.Context, info string) error {
	policy := infoField(info, "maxmemory_policy")
	if policy == "" {
		policy = r.control.ConfigGet(ctx, "maxmemory-policy").Val()["maxmemory-policy"]
	}
	switch policy {
	case "noeviction":
		return nil
	case "":
		r.logger.Warn("cannot read maxmemory-policy: make sure that it is noeviction")
		return nil
	default:
		return fmt.Errorf("maxmemory-policy of Redis is %s, which throws keys away when memory is short: set it to noeviction (CONFIG SET maxmemory-policy noeviction)", policy)
	}
}

// infoField returns one field of an INFO reply, "" if it is missing.
func infoField(info, field string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// atLeast compares the first two numbers of two versions.
func atLeast(version, least string) bool {
	major, minor := versionNumbers(version)
	leastMajor, leastMinor := versionNumbers(least)
	return major > leastMajor || (major == leastMajor && minor >= leastMinor)
}

func versionNumbers(version string) (int, int) {
	parts := append(strings.Split(version, "."), "0", "0")
	major, _ := strconv.Atoi(parts[0]) // 0 for what is no number
	minor, _ := strconv.Atoi(parts[1])
	return major, minor
}
