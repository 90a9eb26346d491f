package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestServeValues reads single values of serve's flags; "" is a good one.
func TestServeValues(t *testing.T) {
	for _, test := range []struct{ arg, fault string }{
		{"--listen=:0", ""},
		{"--listen=[::1]:80", ""},
		{"--listen=localhost:http", ""},
		{"--listen=", "is not HOST:PORT"},
		{"--listen=80", "is not HOST:PORT"},
		{"--listen=127.0.0.1:", "is not HOST:PORT"},
		{"--listen=:65536", "is not HOST:PORT"},
		{"--listen=:-1", "is not HOST:PORT"},
		{"--listen=::1:80", "is not HOST:PORT"},
		{"--admin-listen=:8080", "--admin-listen: :8080 is the address of --listen already"},
		{"--ops-listen=:8080", "--ops-listen: :8080 is the address of --listen already"},
		{"--redis-url=redis://user:secret@h:6379/1", ""},
		{"--redis-url=rediss://h1:1?addr=h2:1", ""},
		{"--redis-url=unix:///run/redis.sock", ""},
		{"--redis-url=http://:secret@h", "--redis-url: "},
		{"--redis-url=redis://:secret@h:port", "--redis-url: "},
		{"--redis-prefix=", "--redis-prefix: "},
		{"--redis-prefix={a}", "--redis-prefix: "},
		{"--redis-prefix=" + strings.Repeat("a", 64), ""},
		{"--redis-prefix=" + strings.Repeat("a", 65), "--redis-prefix: "},
		{"--data-dir=", "--data-dir: it is empty"},
		{"--decision-timeout=1ms", ""},
		{"--decision-timeout=999us", "is not from 1ms to 1m0s"},
		{"--decision-timeout=1m", ""},
		{"--decision-timeout=61s", "is not from 1ms to 1m0s"},
		{"--drain=0s", ""},
		{"--drain=-1s", "is not from 0s to 1h0m0s"},
		{"--drain=1h", ""},
		{"--drain=1d", "is not from 0s to 1h0m0s"},
		{"--drain=5", "is not a duration"},
		{"--key-limit=off", ""},
		{"--key-limit=10/1s,600/1m,1/31d", ""},
		{"--key-limit=1/32d", "--key-limit: "},
		{"--workspace-limit=1000001/1m", "--workspace-limit: "},
		{"--key-prefix=", "--key-prefix: "},
		{"--key-prefix=acme-live-", ""},
		{"--workspace-header=X_Workspace", "--workspace-header: "},
		{"--log-format=JSON", "is neither text nor json"},
		{"--log-level=DEBUG", ""},
		{"--log-level=trace", "is none of debug, info, warn, error"},
		{"--redis-password-file=missing", "--redis-password-file: "},
	} {
		_, err := parseServe(world{}, []string{test.arg})
		if test.fault == "" && err != nil || test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)) {
			t.Errorf("%s: %v, want %q", test.arg, err, test.fault)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the secret is repeated: %v", test.arg, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		env  map[string]string
		want time.Duration
	}{
		"default":               {nil, nil, 5 * time.Second},
		"variable":              {nil, map[string]string{"TPGATE_DRAIN": "7s"}, 7 * time.Second},
		"empty variable":        {nil, map[string]string{"TPGATE_DRAIN": ""}, 5 * time.Second},
		"flag":                  {[]string{"--drain", "9s"}, map[string]string{"TPGATE_DRAIN": "7s"}, 9 * time.Second},
		"flag at its default":   {[]string{"--drain=5s"}, map[string]string{"TPGATE_DRAIN": "7s"}, 5 * time.Second},
		"flag, faulty variable": {[]string{"-drain=5s"}, map[string]string{"TPGATE_DRAIN": "x"}, 5 * time.Second},
	} {
		c, err := parseServe(world{env: test.env}, test.args)
		if err != nil || c.drain != test.want {
			t.Errorf("%s: %v, %v, want %s", name, c.drain, err, test.want)
		}
	}
	if _, err := parseServe(world{env: map[string]string{"TPGATE_CHECK": "maybe"}}, nil); err == nil || !strings.Contains(err.Error(), `TPGATE_CHECK: "maybe"`) {
		t.Errorf("a variable that is no bool: %v", err)
	}
}

// TestSecrets takes secrets from files and variables; a file wins.
func TestSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := writePrivate(file, " tpa_from-the-file-of-a-test \n", os.Rename); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"TPGATE_REDIS_PASSWORD": "from the variable\n", "TPGATE_ADMIN_TOKEN": "tpa_from-the-variable-of-a-test\n"}
	c, err := parseServe(world{env: env}, nil)
	if err != nil || c.redisPassword != "from the variable" || c.adminToken != "tpa_from-the-variable-of-a-test" {
		t.Errorf("variables: %q, %q, %v", c.redisPassword, c.adminToken, err)
	}
	c, err = parseServe(world{env: env}, []string{"--redis-password-file", file, "--admin-token-file", file})
	if err != nil || c.redisPassword != "tpa_from-the-file-of-a-test" || c.adminToken != "" || c.adminTokenFile != file {
		t.Errorf("files: %q, %q, %v", c.redisPassword, c.adminToken, err)
	}
	for _, token := range []string{"tiny", "with a space and long enough", "mit-ümlaut-und-lang-genug"} {
		_, err := parseServe(world{env: map[string]string{"TPGATE_ADMIN_TOKEN": token}}, nil)
		if err == nil || !strings.Contains(err.Error(), "TPGATE_ADMIN_TOKEN ") || strings.Contains(err.Error(), token) {
			t.Errorf("the token %q: %v", token, err)
		}
	}
}

// TestVariablesOfAllFlagsAreKnown walks every command's help.
func TestVariablesOfAllFlagsAreKnown(t *testing.T) {
	argumentsOnly := []string{"all", "yes"}
	for _, cmd := range commands() {
		var help bytes.Buffer
		args := append(append([]string{"tpgate"}, strings.Fields(cmd.name)...), "--help")
		if code := run(context.Background(), args, nil, &help, io.Discard); code != exitFine {
			t.Errorf("%v: %d", args, code)
		}
		for _, match := range regexp.MustCompile(`(?m)^  --(\S+)`).FindAllStringSubmatch(help.String(), -1) {
			if unknown := unknownVariables(map[string]string{envName(match[1]): "x"}); len(unknown) > 0 && !slices.Contains(argumentsOnly, match[1]) {
				t.Errorf("tpgate %s --%s: %v is said to be unknown", cmd.name, match[1], unknown)
			}
		}
	}
	env := map[string]string{
		"TPGATE_LISTEN": "x", "TPGATE_ADMIN_TOKEN": "x", "TPGATE_REDIS_PASSWORD": "x", "TPGATE_EMPTY": "",
		"TPGATE_PORT": "x", "TPGATE_PORT_8080_TCP": "x", "TPGATE_PORT_8080_TCP_PROTO": "x", "TPGATE_SERVICE_HOST": "x", "TPGATE_SERVICE_PORT": "x", "TPGATE_SERVICE_PORT_OPS": "x",
		"TPGATE_ADMIN_PORT": "x", "TPGATE_ADMIN_SERVICE_HOST": "x", "TPGATE_ADMIN_PORT_8081_TCP_ADDR": "x",
		"TPGATE_LISTENS": "x", "TPGATE_REDIS": "x", "TPGATE_PORT_X": "x",
	}
	if unknown := unknownVariables(env); !slices.Equal(unknown, []string{"TPGATE_LISTENS", "TPGATE_PORT_X", "TPGATE_REDIS"}) {
		t.Errorf("unknown: %v", unknown)
	}
}

func TestAllowedHosts(t *testing.T) {
	for listen, own := range map[string]string{
		"127.0.0.1:8081": "127.0.0.1", "[::1]:8081": "::1", "localhost:8081": "localhost", "127.1.2.3:1": "127.1.2.3",
		":8081": "", "0.0.0.0:8081": "", "[::]:8081": "", "10.0.0.1:8081": "", "admin.example:8081": "",
	} {
		hosts := allowedHosts(listen)
		if own == "" && hosts != nil || own != "" && !(slices.Contains(hosts, own) && slices.Contains(hosts, "localhost") && slices.Contains(hosts, "127.0.0.1") && slices.Contains(hosts, "::1")) {
			t.Errorf("%s: %q", listen, hosts)
		}
	}
}
