package test

import (
	"fmt"
	"time"
)

// comeback is how soon a good key must be admitted again when what was broken works again.
const comeback = 4 * time.Second

// outageCases: whatever is broken, nobody gets in unchecked, and clients are told to come again.
var outageCases = []acceptance{
	{"21", "Redis dead: 503", redisDead, (*stack).closed},
	{"22", "Redis hangs: 503 within 3 s", redisHangs, (*stack).closed},
	{"23", "tpgate dead: 503", gateDead, (*stack).closed},
	{"24", "tpgate hangs: 503 within 3 s", gateHangs, (*stack).closed},
	{"25", "back within 4 s, after Redis and after tpgate", nil, backAgain},
}

// closed wants the denial of a service that cannot answer, in bearable time, for a good key and for a wrong one.
func (s *stack) closed() error {
	for _, secret := range []string{s.good.Secret, unknown, s.good.Secret} {
		began := time.Now()
		if err := s.ask(withKey(secret)).denied(unavailable); err != nil {
			return err
		}
		if took := time.Since(began); took > 3*time.Second {
			return fmt.Errorf("the answer took %s", took.Round(time.Millisecond))
		}
	}
	return nil
}

// back wants a good key to be admitted again.
func (s *stack) back() error {
	return eventually(comeback, func() error { return s.ask(withKey(s.good.Secret)).allowed(s.good) })
}

func redisDead(s *stack) (mend func()) {
	s.redis.crash()
	return s.redis.restart
}

func redisHangs(s *stack) (mend func()) {
	s.redis.hang()
	return s.redis.resume
}

func gateDead(s *stack) (mend func()) {
	s.gate.crash()
	s.tap.close()
	return func() {
		s.tap.open()
		s.gate.restart()
	}
}

func gateHangs(s *stack) (mend func()) {
	s.tap.hang(true)
	return func() { s.tap.hang(false) }
}

func backAgain(s *stack) error {
	s.redis.crash()
	if err := s.closed(); err != nil {
		return err
	}
	s.redis.restart()
	if err := s.back(); err != nil {
		return fmt.Errorf("after Redis: %w", err)
	}
	s.gate.crash()
	s.gate.restart()
	if err := s.back(); err != nil {
		return fmt.Errorf("after tpgate: %w", err)
	}
	return nil
}

// backendCases: what the backend itself says is not the service's.
var backendCases = []acceptance{{"34", "the backend's own 401, 403, 429, 500, 503 untouched", nil, backendsOwn}}

func backendsOwn(s *stack) error {
	for _, status := range []int{401, 403, 404, 429, 500, 502, 503} {
		o := s.ask(question{path: fmt.Sprint("/status/", status), key: s.good.Secret})
		if o.status != status || o.body != "the backend's own" || o.header.Get("Retry-After") != "77" || o.header.Get("WWW-Authenticate") != "Backend" {
			return fmt.Errorf("the backend's %d became %s", status, o)
		}
	}
	return nil
}
