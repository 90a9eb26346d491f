package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// gate is a server that is driven: tpgate, or the floor, perhaps behind a proxy.
type gate struct {
	*process
	url   string     // where the load goes
	data  string     // address of its checks
	admin string     // of tpgate's management API
	token string     // for it
	redis []*process // what it asks
}

// build compiles tpgate and the floor into the bench's directory.
func (b *bench) build() error {
	for name, folder := range map[string]string{"tpgate": "./cmd/tpgate", "floor": "./test/bench/floor"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(b.dir, name), folder).CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", folder, err, out)
		}
	}
	return nil
}

// startRedis starts a redis-server that keeps nothing on disk.
func (b *bench) startRedis(more ...string) (*process, string, error) {
	path, err := find("redis-server")
	if err != nil {
		return nil, "", err
	}
	address := b.freeAddress()
	dir := filepath.Join(b.dir, "redis-"+portOf(address))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, "", err
	}
	p, err := b.start(path, append([]string{"--port", portOf(address), "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--maxmemory-policy", "noeviction"}, more...)...)
	if err != nil {
		return nil, "", err
	}
	return p, address, p.waitPort(address)
}

// startCluster starts a Cluster of three masters.
func (b *bench) startCluster() ([]*process, string, error) {
	var nodes []*process
	command := []string{"--cluster", "create"}
	for range 3 {
		p, address, err := b.startRedis("--cluster-enabled", "yes", "--cluster-port", portOf(b.freeAddress()))
		if err != nil {
			return nil, "", err
		}
		nodes, command = append(nodes, p), append(command, address)
	}
	if _, err := redisCLI(command[2], append(command, "--cluster-yes", "--cluster-replicas", "0")...); err != nil {
		return nil, "", err
	}
	err := nodes[0].waitFor("part of a Cluster", func() bool {
		for _, address := range command[2:] {
			if state, err := redisCLI(address, "CLUSTER", "INFO"); err != nil || !strings.Contains(state, "cluster_state:ok") {
				return false
			}
		}
		return true
	})
	return nodes, fmt.Sprintf("redis://%s?addr=%s&addr=%s", command[2], command[3], command[4]), err
}

// redisCLI runs one command and returns what redis-cli prints.
func redisCLI(address string, args ...string) (string, error) {
	out, err := exec.Command("redis-cli", append([]string{"-h", "127.0.0.1", "-p", portOf(address)}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("redis-cli %s: %w\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// startGate starts tpgate on a Redis, or on its embedded store if redisURL is empty.
func (b *bench) startGate(redisURL string, redis []*process) (*gate, error) {
	ops := b.freeAddress()
	g := &gate{data: b.freeAddress(), admin: b.freeAddress(), redis: redis}
	dir := filepath.Join(b.dir, "tpgate-"+portOf(g.data))
	args := []string{"serve", "--listen", g.data, "--admin-listen", g.admin, "--ops-listen", ops, "--data-dir", dir, "--key-limit", inQuota, "--decision-timeout", "2s", "--drain", "0s"}
	if redisURL != "" {
		args = append(args, "--redis-url", redisURL)
	}
	var err error
	if g.process, err = b.start(filepath.Join(b.dir, "tpgate"), args...); err != nil {
		return nil, err
	}
	err = g.waitFor("ready", func() bool {
		response, err := http.Get("http://" + ops + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(dir, "admin-token"))
	g.token, g.url = strings.TrimSpace(string(token)), "http://"+g.data+"/"
	return g, err
}

// startFloor starts a floor server.
func (b *bench) startFloor() (*gate, error) {
	g := &gate{data: b.freeAddress()}
	g.url = "http://" + g.data + "/"
	var err error
	if g.process, err = b.start(filepath.Join(b.dir, "floor"), "--listen", g.data); err != nil {
		return nil, err
	}
	return g, g.waitPort(g.data)
}

// proxies are those that the gates are also measured through, with the files of deploy/.
var proxies = []struct {
	name, file string
	replace    func(web, gate, backend string) []string
	command    func(dir string) []string
}{
	{
		name: "nginx", file: "nginx/tpgate.conf",
		replace: func(web, gate, backend string) []string {
			return []string{"listen 8000", "listen " + web, "127.0.0.1:8080", gate, "127.0.0.1:3000", backend}
		},
		command: func(dir string) []string {
			return []string{"nginx", "-c", dir + "/nginx.conf", "-p", dir, "-e", "stderr"}
		},
	},
	{
		name: "envoy", file: "envoy/envoy.yaml",
		replace: func(web, gate, backend string) []string {
			return []string{"address: 0.0.0.0, port_value: 8000", "address: 127.0.0.1, port_value: " + portOf(web), "port_value: 8080", "port_value: " + portOf(gate), "port_value: 3000", "port_value: " + portOf(backend)}
		},
		command: func(dir string) []string {
			return []string{"envoy", "-c", dir + "/envoy.yaml", "--use-dynamic-base-id", "--concurrency", "2", "-l", "warning"}
		},
	},
}

// nginxMain is what Debian's nginx.conf has around a file of conf.d.
const nginxMain = `daemon off; master_process off; pid DIR/pid; error_log stderr error;
events { worker_connections 4096; }
http { access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi; include DIR/tpgate.conf; }
`

// behind starts the i-th proxy before a gate and returns the gate as seen through it.
func (b *bench) behind(i int, g *gate, backend string) (*gate, error) {
	proxy, web := proxies[i], b.freeAddress()
	dir := filepath.Join(b.dir, proxy.name+"-"+portOf(web))
	text, err := os.ReadFile(filepath.Join("deploy", proxy.file))
	if err != nil {
		return nil, err
	}
	config := strings.NewReplacer(proxy.replace(web, g.data, backend)...).Replace(string(text))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{filepath.Base(proxy.file): config, "nginx.conf": strings.ReplaceAll(nginxMain, "DIR", dir)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	command := proxy.command(dir)
	path, err := find(command[0])
	if err != nil {
		return nil, err
	}
	p, err := b.start(path, command[1:]...)
	if err != nil {
		return nil, err
	}
	seen := *g
	seen.url = "http://" + web + "/"
	if err := p.waitPort(web); err != nil {
		return nil, err
	}
	time.Sleep(500 * time.Millisecond) // Envoy accepts before its clusters are warm
	return &seen, nil
}
