package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// proxy is a line in the table of proxies.
type proxy struct {
	name string
	// files are the files of deploy/ that make up its configuration. They are used as they are but for the replacements.
	files []string
	// replace says how a file's own addresses become those of the test. Each must be found.
	replace func(at addresses) replacements
	// start runs it with its files in dir.
	start func(t *testing.T, dir string) *program
	// h2 are further replacements, for the case of clients that speak HTTP/2 in clear text, if it takes some.
	h2 func(at addresses) replacements
	// deviations are the acceptance cases that it cannot meet, by their number.
	deviations map[string]deviation
}

// replacements are pairs of old and new text, made one after the other.
type replacements [][2]string

// addresses are where everything is, and the directory of the files.
type addresses struct{ web, loop, gate, backend, dir string }

// deviation is an acceptance case that a proxy cannot meet, and what it does instead.
type deviation struct {
	why     string
	instead func(s *stack) error
}

// launch writes the proxy's files into a directory of its own and starts it.
func (p *proxy) launch(t *testing.T, at addresses, more replacements) {
	t.Helper()
	at.dir = t.TempDir()
	wanted := append(p.replace(at), more...)
	found := map[string]bool{}
	for _, name := range p.files {
		content, err := os.ReadFile(filepath.Join(root(t), "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		for _, r := range wanted {
			found[r[0]] = found[r[0]] || strings.Contains(text, r[0])
			text = strings.ReplaceAll(text, r[0], r[1])
		}
		_, inside, _ := strings.Cut(name, "/")
		path := filepath.Join(at.dir, inside)
		if err := writeFile(path, text); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range wanted {
		if !found[r[0]] {
			t.Fatalf("the files of %s do not contain %q: the table of proxies must change with them", p.name, r[0])
		}
	}
	p.start(t, at.dir).waitPort(t, at.web)
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// nginxMain is what Debian's nginx.conf has around a file of conf.d.
const nginxMain = `daemon off; master_process off; pid DIR/pid; error_log stderr info;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi; include DIR/tpgate.conf; }
`

func startNginx(t *testing.T, dir string) *program {
	t.Helper()
	main := filepath.Join(dir, "nginx.conf")
	if err := writeFile(main, strings.ReplaceAll(nginxMain, "DIR", dir)); err != nil {
		t.Fatal(err)
	}
	return start(t, nil, find(t, "nginx"), "-c", main, "-p", dir, "-e", "stderr")
}

func startTraefik(t *testing.T, dir string) *program {
	t.Helper()
	return start(t, nil, find(t, "traefik"), "--configFile="+filepath.Join(dir, "traefik.yml"))
}

func startEnvoy(t *testing.T, dir string) *program {
	t.Helper()
	return start(t, nil, find(t, "envoy"), "-c", filepath.Join(dir, "envoy.yaml"), "--use-dynamic-base-id", "--concurrency", "2", "-l", "warning")
}
