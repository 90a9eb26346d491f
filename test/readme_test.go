package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// step is a command of the session in the README, and what it says there.
type step struct {
	command    string
	said       []string
	background bool
}

// TestReadme runs the first ```console block of README.md as one shell session in an empty directory, and compares what is said with what the README says.
//
//   - "$ " begins a command; one that ends in "\" goes on in the next line, one that ends in "&" runs until the session ends, and the next begins when the service is ready.
//   - The other lines are the output, standard error too. "…" alone stands for any lines, or none. Of a command in the background, each line must come, in this order, and others may.
//   - Keys, ids, dates and the numbers of rate-limit headers differ from run to run, and match each other; so do runs of spaces.
//   - "make run" is "tpgate serve". The default ports are replaced by free ones.
func TestReadme(t *testing.T) {
	find(t, "bash")
	find(t, "curl")
	text, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := session(string(text))
	if len(steps) == 0 {
		t.Fatal("README.md has no ```console block with commands")
	}
	compareSession(t, steps)
}

// compareSession runs the steps and compares what they say.
func compareSession(t *testing.T, steps []step) {
	t.Helper()
	for i, said := range play(t, steps) {
		pattern := steps[i].said
		if steps[i].background {
			pattern = []string{"…"}
			for _, line := range steps[i].said {
				pattern = append(pattern, line, "…")
			}
		}
		if !fits(pattern, said) {
			t.Errorf("$ %s\nsays:\n%s\nand in the README:\n%s", steps[i].command, strings.Join(said, "\n"), strings.Join(steps[i].said, "\n"))
		}
	}
}

// session reads the steps from the first console block.
func session(markdown string) []step {
	_, block, _ := strings.Cut(markdown, "```console\n")
	block, _, _ = strings.Cut(block, "\n```")
	var steps []step
	for line := range strings.Lines(block) {
		line = strings.TrimRight(line, "\n")
		command, begins := strings.CutPrefix(line, "$ ")
		switch last := len(steps) - 1; {
		case begins:
			steps = append(steps, step{command: command})
		case last < 0:
			continue
		case strings.HasSuffix(steps[last].command, `\`):
			steps[last].command += "\n" + strings.TrimPrefix(line, "> ")
		default:
			steps[last].said = append(steps[last].said, line)
		}
	}
	for i := range steps {
		steps[i].command, steps[i].background = strings.CutSuffix(steps[i].command, "&")
	}
	return steps
}

// play runs the steps in one shell and returns what each has said.
func play(t *testing.T, steps []step) [][]string {
	t.Helper()
	dir, data, admin, ops := t.TempDir(), freeAddress(t), freeAddress(t), freeAddress(t)
	ports := []string{"8080", port(data), "8081", port(admin), "8082", port(ops)}
	there := strings.NewReplacer(append(ports, "make run", "tpgate serve", "bin/tpgate", "tpgate")...)
	var script strings.Builder
	script.WriteString("trap 'kill $(jobs -p); wait' EXIT\n")
	for i, s := range steps {
		format := "exec >%[1]d 2>&1\n%[2]s\n"
		if s.background {
			format = "%[2]s >%[1]d 2>&1 &\nuntil curl -sf http://%[3]s/readyz >/dev/null; do sleep 0.05; kill -0 $! || break; done\n"
		}
		fmt.Fprintf(&script, format, i, there.Replace(s.command), ops)
	}
	if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("no-progress-meter\n"), 0o600); err != nil { // as on a terminal
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script.String())
	shell.Dir = dir
	shell.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "CURL_HOME="+dir, "TPGATE_LOG_FORMAT=text",
		"TPGATE_LISTEN="+data, "TPGATE_ADMIN_LISTEN="+admin, "TPGATE_OPS_LISTEN="+ops, "TPGATE_SERVER=http://"+admin, "TPGATE_DRAIN=0s")
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	if out, err := shell.CombinedOutput(); err != nil && ctx.Err() != nil {
		t.Fatalf("the session has not ended: %v\n%s", err, out)
	}
	here := strings.NewReplacer(port(data), "8080", port(admin), "8081", port(ops), "8082")
	said := make([][]string, len(steps))
	for i := range steps {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		said[i] = strings.Split(strings.TrimRight(here.Replace(string(text)), "\n"), "\n")
	}
	return said
}

// fits reports whether lines are what a pattern says.
func fits(pattern, lines []string) bool {
	for len(pattern) > 0 && plain(pattern[0]) == "" && len(pattern) > len(lines) { // empty lines between commands
		pattern = pattern[1:]
	}
	switch {
	case len(pattern) == 0:
		return strings.TrimSpace(strings.Join(lines, "")) == ""
	case plain(pattern[0]) == "…":
		return fits(pattern[1:], lines) || len(lines) > 0 && fits(pattern, lines[1:])
	default:
		return len(lines) > 0 && plain(pattern[0]) == plain(lines[0]) && fits(pattern[1:], lines[1:])
	}
}

// varying is what differs from run to run, and what stands for it.
var varying = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`tp_[A-Za-z0-9]*(…|\.\.\.)?`), "KEY"},
	{regexp.MustCompile(`\b[A-Za-z0-9]{16}\b`), "ID"},
	{regexp.MustCompile(`\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?`), "DATE"},
	{regexp.MustCompile(`(?i)(X-RateLimit-Reset: |Retry-After: |;t=|retry after |"retry_after_seconds": ?)\d+`), "${1}N"},
	{regexp.MustCompile(`^\[\d+\] \d+$`), "…"}, // a shell on a terminal says this of a command in the background
	{regexp.MustCompile(`\s+`), " "},
}

// plain returns a line without what differs from run to run.
func plain(line string) string {
	for _, v := range varying {
		line = v.pattern.ReplaceAllString(line, v.word)
	}
	return strings.TrimSpace(line)
}
