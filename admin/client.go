package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Client calls the management API.
type Client struct {
	Server string // such as http://127.0.0.1:8081
	Token  string
	HTTP   *http.Client
}

// Error is an answer of the API that is not a success.
type Error struct {
	Status int
	Problem
}

// Error returns the message, and each sentence about a field.
func (e *Error) Error() string {
	lines := []string{e.Message}
	for _, sentences := range e.Errors {
		for _, s := range sentences {
			if !strings.HasPrefix(e.Message, s) {
				lines = append(lines, s)
			}
		}
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

// maxAnswer bounds what is read of one answer: a page of 1,000 keys with the longest names takes 2 MB.
const maxAnswer = 8 << 20

// Call sends in (nil: no body) as JSON to a path of the API, decodes the answer into out (nil: it is ignored), and returns the path of the next page, if there is one.
// An answer other than a success is an [*Error].
func (c *Client) Call(ctx context.Context, method, path string, in, out any) (next string, err error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return "", fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	response, err := c.send(ctx, method, path, "application/json", body)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("reading the answer of %s: %w", c.Server, err)
	}
	if response.StatusCode >= 300 {
		return "", errorOf(response.StatusCode, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			return "", fmt.Errorf("%s did not answer as the management API of tpgate does: is --server right?", c.Server)
		}
	}
	return nextLink(response.Header.Get("Link")), nil
}

// Stream sends body (nil: none) as NDJSON to a path of the API and returns the answer to be read line by line; the caller closes it. An answer other than a success is an [*Error].
func (c *Client) Stream(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	response, err := c.send(ctx, method, path, "application/x-ndjson", body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		return nil, errors.Join(err, errorOf(response.StatusCode, answer))
	}
	return response.Body, nil
}

// send sends a request with the token.
func (c *Client) send(ctx context.Context, method, path, kind string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Server, "/")+path, body)
	if err != nil {
		return nil, fmt.Errorf("the server's address %q is not usable: write one such as http://127.0.0.1:8081", c.Server)
	}
	request.Header.Set("Authorization", "Bearer "+c.Token)
	if body != nil {
		request.Header.Set("Content-Type", kind)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, unreachable(c.Server, err)
	}
	return response, nil
}

func errorOf(status int, answer []byte) error {
	e := &Error{Status: status}
	if json.Unmarshal(answer, &e.Problem) != nil || e.Message == "" {
		e.Message = fmt.Sprintf("the server answered %d %s: is --server right?", status, http.StatusText(status))
	}
	return e
}

func unreachable(server string, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("cannot reach the management API at %s (%w): is the service running (tpgate serve), and is --server right?", server, err)
}

func nextLink(header string) string {
	target, rel, ok := strings.Cut(header, ">;")
	if !ok || !strings.Contains(rel, `rel="next"`) {
		return ""
	}
	return strings.TrimPrefix(target, "<")
}
