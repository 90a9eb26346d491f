package limitertest

// cases is what a window promises, one sentence each.
var cases = []struct {
	name  string
	steps []step
}{
	{"admits as many as allowed and not one more", []step{
		{"0s", 1, "3/100ms", "1 granted, 2 left of 0:3/100ms, next at 100ms"},
		{"10ms", 1, "3/100ms", "1 granted, 1 left of 0:3/100ms, next at 100ms"},
		{"20ms", 1, "3/100ms", "1 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"30ms", 1, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 100ms"},
	}},
	{"an admission counts for the window's length to the microsecond", []step{
		{"0s", 1, "1/100ms", "1 granted, 0 left of 0:1/100ms, next at 100ms"},
		{"99.999ms", 1, "1/100ms", "0 granted, 0 left of 0:1/100ms, next at 100ms"},
		{"100ms", 1, "1/100ms", "1 granted, 0 left of 0:1/100ms, next at 200ms"},
		{"199.999ms", 1, "1/100ms", "0 granted, 0 left of 0:1/100ms, next at 200ms"},
	}},
	{"a burst at the end of one span and the start of the next is one burst", []step{
		{"99ms", 3, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 199ms"},
		{"100ms", 3, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 199ms"},
		{"198.999ms", 1, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 199ms"},
		{"199ms", 4, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 299ms"},
	}},
	{"permits come back one by one, as they were taken", []step{
		{"0s", 1, "2/100ms", "1 granted, 1 left of 0:2/100ms, next at 100ms"},
		{"60ms", 1, "2/100ms", "1 granted, 0 left of 0:2/100ms, next at 100ms"},
		{"100ms", 2, "2/100ms", "1 granted, 0 left of 0:2/100ms, next at 160ms"},
		{"159ms", 1, "2/100ms", "0 granted, 0 left of 0:2/100ms, next at 160ms"},
		{"160ms", 2, "2/100ms", "1 granted, 0 left of 0:2/100ms, next at 200ms"},
	}},
	{"of several permits it gives as many as there are", []step{
		{"0s", 2, "3/100ms", "2 granted, 1 left of 0:3/100ms, next at 100ms"},
		{"1ms", 5, "3/100ms", "1 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"2ms", 5, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 100ms"},
	}},
	{"a refusal costs nothing", []step{
		{"0s", 3, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"50ms", 20, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"99ms", 20, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"100ms", 3, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 200ms"},
	}},
	{"asking for nothing takes nothing and tells how things stand", []step{
		{"0s", 0, "3/100ms", "0 granted, 3 left of 0:3/100ms, next at 100ms"},
		{"0s", 1, "3/100ms", "1 granted, 2 left of 0:3/100ms, next at 100ms"},
		{"50ms", 0, "3/100ms", "0 granted, 2 left of 0:3/100ms, next at 100ms"},
	}},
	{"after a long silence all permits are there", []step{
		{"0s", 3, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"9h", 2, "3/100ms", "2 granted, 1 left of 0:3/100ms, next at 9h0m0.1s"},
	}},
	{"of several windows all must admit, and the one closest to its end is told", []step{
		{"0s", 1, "2/10ms,3/100ms", "1 granted, 1 left of 0:2/10ms, next at 10ms"},
		{"1ms", 2, "2/10ms,3/100ms", "1 granted, 0 left of 0:2/10ms, next at 10ms"},
		{"10ms", 1, "2/10ms,3/100ms", "1 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"20ms", 1, "2/10ms,3/100ms", "0 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"100ms", 2, "2/10ms,3/100ms", "1 granted, 0 left of 0:3/100ms, next at 101ms"},
	}},
	{"of windows equally close to their end the one that frees last is told", []step{
		{"0s", 1, "1/10ms,1/100ms", "1 granted, 0 left of 0:1/100ms, next at 100ms"},
		{"5ms", 1, "1/10ms,1/100ms", "0 granted, 0 left of 0:1/100ms, next at 100ms"},
		{"10ms", 1, "1/10ms,1/100ms", "0 granted, 0 left of 0:1/100ms, next at 100ms"},
	}},
	{"three windows in any order", []step{
		{"0s", 9, "3/100ms,1/10ms,5/1s", "1 granted, 0 left of 0:1/10ms, next at 10ms"},
		{"10ms", 9, "3/100ms,1/10ms,5/1s", "1 granted, 0 left of 0:1/10ms, next at 20ms"},
		{"20ms", 9, "3/100ms,1/10ms,5/1s", "1 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"100ms", 9, "3/100ms,1/10ms,5/1s", "1 granted, 0 left of 0:3/100ms, next at 110ms"},
		{"200ms", 9, "3/100ms,1/10ms,5/1s", "1 granted, 0 left of 0:5/1s, next at 1s"},
		{"999.999ms", 9, "3/100ms,1/10ms,5/1s", "0 granted, 0 left of 0:5/1s, next at 1s"},
	}},
	{"two quotas give all or nothing: what the workspace refuses does not cost the key", []step{
		{"0s", 2, "5/100ms | 2/100ms", "2 granted, 0 left of 1:2/100ms, next at 100ms"},
		{"1ms", 1, "5/100ms | 2/100ms", "0 granted, 0 left of 1:2/100ms, next at 100ms"},
		{"2ms", 1, "5/100ms", "1 granted, 2 left of 0:5/100ms, next at 100ms"},
	}},
	{"two quotas give all or nothing: what the key refuses does not cost the workspace", []step{
		{"0s", 2, "2/100ms | 5/100ms", "2 granted, 0 left of 0:2/100ms, next at 100ms"},
		{"1ms", 9, "2/100ms | 5/100ms", "0 granted, 0 left of 0:2/100ms, next at 100ms"},
		{"2ms", 1, "off | 5/100ms", "1 granted, 2 left of 1:5/100ms, next at 100ms"},
	}},
	{"two quotas give as many permits as both have", []step{
		{"0s", 10, "5/100ms | 3/50ms", "3 granted, 0 left of 1:3/50ms, next at 50ms"},
		{"50ms", 10, "5/100ms | 3/50ms", "2 granted, 0 left of 0:5/100ms, next at 100ms"},
	}},
	{"of quotas equally close to their end the first is told", []step{
		{"0s", 1, "2/100ms | 2/100ms", "1 granted, 1 left of 0:2/100ms, next at 100ms"},
	}},
	{"a limit of 0 admits nothing, and tells its length as the time to wait", []step{
		{"5ms", 1, "0/1m", "0 granted, 0 left of 0:0/1m, next at 1m0.005s"},
		{"6ms", 9, "0/1m", "0 granted, 0 left of 0:0/1m, next at 1m0.006s"},
		{"7ms", 1, "0/1m | 5/100ms", "0 granted, 0 left of 0:0/1m, next at 1m0.007s"},
		{"8ms", 1, "off | 5/100ms", "1 granted, 4 left of 1:5/100ms, next at 108ms"},
		{"9ms", 1, "1/100ms,0/1ms", "0 granted, 0 left of 0:0/1ms, next at 10ms"},
	}},
	{"no limit refuses nothing and remembers nothing", []step{
		{"0s", 20, "off", "20 granted, no limit"},
		{"0s", 20, "off | off", "20 granted, no limit"},
		{"0s", 1, "2/100ms | off", "1 granted, 1 left of 0:2/100ms, next at 100ms"},
		{"0s", 1, "off | 2/100ms", "1 granted, 1 left of 1:2/100ms, next at 100ms"},
	}},
	{"what was admitted before a limit was off counts when it is on again", []step{
		{"0s", 2, "2/100ms", "2 granted, 0 left of 0:2/100ms, next at 100ms"},
		{"1ms", 1, "off", "1 granted, no limit"},
		{"2ms", 1, "2/100ms", "0 granted, 0 left of 0:2/100ms, next at 100ms"},
	}},
	{"a lowered limit holds at once, and counts the newest admissions", []step{
		{"0s", 2, "5/100ms", "2 granted, 3 left of 0:5/100ms, next at 100ms"},
		{"20ms", 1, "5/100ms", "1 granted, 2 left of 0:5/100ms, next at 100ms"},
		{"30ms", 1, "5/100ms", "1 granted, 1 left of 0:5/100ms, next at 100ms"},
		{"40ms", 1, "2/100ms", "0 granted, 0 left of 0:2/100ms, next at 120ms"},
		{"119.999ms", 1, "2/100ms", "0 granted, 0 left of 0:2/100ms, next at 120ms"},
		{"120ms", 2, "2/100ms", "1 granted, 0 left of 0:2/100ms, next at 130ms"},
	}},
	{"a raised limit holds at once", []step{
		{"0s", 2, "2/100ms", "2 granted, 0 left of 0:2/100ms, next at 100ms"},
		{"1ms", 9, "5/100ms", "3 granted, 0 left of 0:5/100ms, next at 100ms"},
	}},
	{"a longer window counts what was kept of the shorter one", []step{
		{"0s", 2, "2/10ms", "2 granted, 0 left of 0:2/10ms, next at 10ms"},
		{"50ms", 1, "4/100ms", "1 granted, 1 left of 0:4/100ms, next at 100ms"},
		{"60ms", 1, "2/10ms", "1 granted, 1 left of 0:2/10ms, next at 70ms"},
		{"61ms", 1, "4/100ms", "1 granted, 2 left of 0:4/100ms, next at 160ms"},
	}},
	{"a shorter window forgets what is dead in it", []step{
		{"0s", 4, "4/100ms", "4 granted, 0 left of 0:4/100ms, next at 100ms"},
		{"9ms", 1, "4/10ms", "0 granted, 0 left of 0:4/10ms, next at 10ms"},
		{"10ms", 3, "4/10ms", "3 granted, 1 left of 0:4/10ms, next at 20ms"},
	}},
	{"a clock put back by less than the window admits nothing early", []step{
		{"50ms", 2, "3/100ms", "2 granted, 1 left of 0:3/100ms, next at 150ms"},
		{"20ms", 2, "3/100ms", "1 granted, 0 left of 0:3/100ms, next at 150ms"},
		{"120ms", 1, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 150ms"},
		{"149.999ms", 1, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 150ms"},
		{"150ms", 4, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 250ms"},
	}},
	{"a clock put back by exactly the window still waits for it", []step{
		{"200ms", 3, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 300ms"},
		{"100ms", 1, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 300ms"},
		{"99.999ms", 1, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 199.999ms"},
	}},
	{"after a clock was put back by more, what was admitted counts as admitted then", []step{
		{"500ms", 3, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 600ms"},
		{"100ms", 1, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 200ms"},
		{"199.999ms", 1, "3/100ms", "0 granted, 0 left of 0:3/100ms, next at 200ms"},
		{"200ms", 4, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 300ms"},
	}},
	{"of several windows the longest says how far a clock may be put back", []step{
		{"500ms", 1, "1/10ms,3/100ms", "1 granted, 0 left of 0:1/10ms, next at 510ms"},
		{"450ms", 1, "1/10ms,3/100ms", "0 granted, 0 left of 0:1/10ms, next at 510ms"},
		{"390ms", 1, "1/10ms,3/100ms", "0 granted, 0 left of 0:1/10ms, next at 400ms"},
		{"400ms", 1, "1/10ms,3/100ms", "1 granted, 0 left of 0:1/10ms, next at 410ms"},
	}},
	{"a clock put forward frees what it passes, and put back again keeps what was admitted there", []step{
		{"0s", 3, "3/100ms", "3 granted, 0 left of 0:3/100ms, next at 100ms"},
		{"10s", 2, "3/100ms", "2 granted, 1 left of 0:3/100ms, next at 10.1s"},
		{"50ms", 2, "3/100ms", "1 granted, 0 left of 0:3/100ms, next at 150ms"},
	}},
}
