package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// growInstances drives 1, 2 and 4 instances on one Redis at the same time, each with its part of the connections. One machine carries them all, so that what grows is not the rate:
// it shows what a check costs when fewer of them travel together.
func (b *bench) growInstances(result *growth) error {
	sizes := []int{1, 2, 4}
	redis, address, err := b.startRedis()
	if err != nil {
		return err
	}
	var gates []*gate
	for range sizes[len(sizes)-1] {
		g, err := b.startGate("redis://"+address, []*process{redis})
		if err != nil {
			return err
		}
		gates = append(gates, g)
	}
	secrets, err := gates[0].newKeys(b.keys)
	if err != nil {
		return err
	}
	script, err := b.script("instances", secrets)
	if err != nil {
		return err
	}
	scenarios := make([]scenario, len(sizes))
	for round := range b.rounds + 1 {
		for i := range sizes {
			n := sizes[(i+round)%len(sizes)]
			settle(b.settle)
			l := load{script: script, connections: connections / n}
			if _, err := driveTogether(gates[:n], l, leadIn); err != nil {
				return err
			}
			s, err := driveTogether(gates[:n], l, time.Duration(b.seconds)*time.Second)
			if err != nil {
				return err
			}
			if round > 0 { // the first is to warm up
				at := &scenarios[(i+round)%len(sizes)]
				at.rounds = append(at.rounds, [2]sample{s, s})
			}
		}
	}
	outcomes := make([]outcome, len(sizes))
	for i, n := range sizes {
		scenarios[i].name = strconv.Itoa(n)
		outcomes[i] = outcome{Name: scenarios[i].name, Gate: scenarios[i].medians(0)}
		result.Instances = append(result.Instances, point{Size: n, outcome: outcomes[i]})
	}
	fmt.Println("instances")
	printOutcomes(os.Stdout, outcomes)
	return b.draw("instances", costs("CPU of a check, by instances", result.Instances))
}

// driveTogether drives several gates on the same Redis at once. Rates add up; times are the slowest gate's.
func driveTogether(gates []*gate, l load, d time.Duration) (sample, error) {
	samples, errs := make([]sample, len(gates)), make([]error, len(gates))
	redis := cpuOf(gates[0].redis)
	var wait sync.WaitGroup
	for i, g := range gates {
		wait.Go(func() { samples[i], errs[i] = drive(g, l, d) })
	}
	wait.Wait()
	redis = cpuOf(gates[0].redis) - redis
	var all sample
	for _, s := range samples {
		all.Rate += s.Rate
		all.ServiceCPU += s.ServiceCPU * s.requests
		all.requests += s.requests
		all.P50, all.P99 = max(all.P50, s.P50), max(all.P99, s.P99)
	}
	all.ServiceCPU /= all.requests
	all.RedisCPU = float64(redis.Microseconds()) / all.requests
	return all, errors.Join(errs...)
}
