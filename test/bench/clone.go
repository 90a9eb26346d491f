package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
)

// cloned makes n keys by writing copies of records into Redis: a million by the management API would take half an hour. One key of each workspace is made by the API and copied,
// with another id and digest, so that only their places in the layout of the store are known here.
func (g *gate) cloned(n int, address string) ([]string, error) {
	c, err := dialRedis(address)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	secrets := make([]string, 0, n)
	for w := range workspaces {
		workspace := fmt.Sprintf("bench-%03d", w)
		model, err := g.newKey(workspace, "")
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, model.Secret)
		name := "tpgate:{" + workspace + "}:"
		record, err := c.do("GET", name+"k:"+model.Token.ID)
		if err != nil {
			return nil, err
		}
		member, err := c.do("ZRANGE", name+"keys", "0", "0")
		if err != nil {
			return nil, err
		}
		stamp, _, _ := strings.Cut(member, "/")
		copies := n/workspaces - 1
		for range copies {
			secret, id := "tp_"+rand.Text()[:24]+rand.Text()[:24], rand.Text()[:16]
			digest := sha256.Sum256([]byte(secret))
			secrets = append(secrets, secret)
			c.send("SET", name+"k:"+id, record[:1]+string(digest[:])+record[33:])
			c.send("ZADD", name+"keys", "0", stamp+"/"+id)
			c.send("HSET", fmt.Sprintf("tpgate:index:%04d", int(digest[0])<<2|int(digest[1])>>6), string(digest[:]), workspace+"/"+id)
		}
		if err := c.replies(3 * copies); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}
