package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// fit checks what a store needs of Redis: a version with the commands that the scripts use, and a memory policy that never throws keys away. All faults of a node are reported at once.
func (r *Redis) fit(ctx context.Context) error {
	if cluster, ok := r.control.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			if err := r.fitNode(ctx, node); err != nil {
				return fmt.Errorf("node %s: %w", node.Options().Addr, err)
			}
			return nil
		})
	}
	return r.fitNode(ctx, r.control)
}

func (r *Redis) fitNode(ctx context.Context, node redis.UniversalClient) error {
	info, err := node.Info(ctx, "server", "memory").Result()
	if err != nil {
		return fmt.Errorf("connecting to Redis: %w", err)
	}
	return errors.Join(fitVersion(info), r.fitPolicy(ctx, node, info))
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
func (r *Redis) fitPolicy(ctx context.Context, node redis.UniversalClient, info string) error {
	policy := infoField(info, "maxmemory_policy")
	if policy == "" {
		policy = node.ConfigGet(ctx, "maxmemory-policy").Val()["maxmemory-policy"]
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
