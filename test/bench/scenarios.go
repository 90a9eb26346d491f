package main

import (
	"fmt"
	"net/http"
	"strings"
)

// connections is how many wrk keeps open.
const connections = 64

// stage is what the scenarios are played on.
type stage struct {
	*bench
	gate, floor *gate
	keys        []string
	list        []*scenario
}

// scenarios starts what the wanted scenarios need and returns them.
func (b *bench) scenarios() ([]*scenario, error) {
	s := &stage{bench: b}
	redis, address, err := b.startRedis()
	if err != nil {
		return nil, err
	}
	if s.gate, err = b.startGate("redis://"+address, []*process{redis}); err != nil {
		return nil, err
	}
	if s.floor, err = b.startFloor(); err != nil {
		return nil, err
	}
	if s.keys, err = s.gate.newKeys(b.keys); err != nil {
		return nil, err
	}
	for _, add := range []func() error{s.addPlain, s.addEmbedded, s.addProxies, s.addCluster} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	return s.list, nil
}

// add adds a scenario if it is wanted. refusal is the floor's path for what every check shall be refused as; "": all are allowed.
func (s *stage) add(name string, g, floor *gate, secrets []string, refusal string) error {
	if !s.wanted(name) {
		return nil
	}
	script, err := s.script(strings.ReplaceAll(name, " ", "-"), secrets)
	s.list = append(s.list, &scenario{name: name, gate: g, floor: floor, load: load{script: script, path: refusal, connections: connections, refused: refusal != ""}})
	return err
}

func (s *stage) addPlain() error {
	hot, err := s.gate.newKey("bench-000", "1000000/10s") // a minute's million would be spent in twenty seconds
	if err != nil {
		return err
	}
	limited, err := s.gate.newKey("bench-000", "1/31d")
	if err != nil {
		return err
	}
	if err := spend(s.gate, limited.Secret); err != nil {
		return err
	}
	for _, load := range []struct {
		name    string
		keys    []string
		refusal string
	}{
		{"uniform", s.keys, ""},
		{"hot", []string{hot.Secret}, ""},
		{"over quota", []string{limited.Secret}, "limited"},
		{"unknown", unknownKeys(len(s.keys)), "unknown"},
	} {
		if err := s.add(load.name, s.gate, s.floor, load.keys, load.refusal); err != nil {
			return err
		}
	}
	return nil
}

// spend uses up one permit.
func spend(g *gate, secret string) error {
	request, err := http.NewRequest("GET", g.url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("a new key is answered %s", response.Status)
	}
	return nil
}

func (s *stage) addEmbedded() error {
	if !s.wanted("embedded") {
		return nil
	}
	g, err := s.startGate("", nil)
	if err != nil {
		return err
	}
	keys, err := g.newKeys(len(s.keys))
	if err != nil {
		return err
	}
	return s.add("embedded", g, s.floor, keys, "")
}

// addProxies adds uniform load through each proxy of deploy/: before tpgate, and before the floor. Another floor is the backend.
func (s *stage) addProxies() error {
	for i, proxy := range proxies {
		if !s.wanted(proxy.name) {
			continue
		}
		backend, err := s.startFloor()
		if err != nil {
			return err
		}
		g, err := s.behind(i, s.gate, backend.data)
		if err != nil {
			return err
		}
		floor, err := s.behind(i, s.floor, backend.data)
		if err != nil {
			return err
		}
		if err := s.add(proxy.name, g, floor, s.keys, ""); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) addCluster() error {
	if !s.wanted("cluster") {
		return nil
	}
	nodes, url, err := s.startCluster()
	if err != nil {
		return err
	}
	g, err := s.startGate(url, nodes)
	if err != nil {
		return err
	}
	keys, err := g.newKeys(len(s.keys))
	if err != nil {
		return err
	}
	return s.add("cluster", g, s.floor, keys, "")
}
