-- The exact sliding window of memory.go over a Redis list, as functions for a script that is put together with this text in front (limiter.Script).
--
-- A list holds admission times, oldest first, each 16 digits of microseconds since 1970, so that they compare as strings. One list serves all windows of a limit.
-- An admission is live in a window if it is younger than its length. The N-th newest is dead, or there is none <=> one more is admitted.
--
-- clock(now)                   the one time of this call, 16 digits; before anything else
-- limit_of(encoded)            the parsed form of a limit as limiter.Limit.Encode writes it; raises an error if it is malformed
-- take(n, list, limit [, list, limit])
--                              asks all windows of all quotas for n permits and takes as many as all have, from all. A refusal writes nothing.
--                              Returns granted, the index of the quota whose window is closest to its end (0: no limit applies), that window,
--                              its remaining permits, and its oldest live admission (16 digits; now if it has none).
local call, sub, format, floor = redis.call, string.sub, string.format, math.floor
local now, now_us
local limits = {}

local function clock(time)
	now, now_us = time, tonumber(time)
end

-- stamp_at writes microseconds as a list holds them.
local function stamp_at(us)
	return format('%016.0f', us)
end

local function limit_of(encoded)
	local limit = limits[encoded]
	if limit then return limit end
	local count = tonumber(sub(encoded, 1, 1))
	if #encoded ~= 52 or not count or count > 3 or string.find(encoded, '%D') then error('malformed limit') end
	limit = {widest = 0}
	for i = 1, count do
		local text = sub(encoded, 17 * i - 15, 17 * i + 1) -- seven digits of permits, ten of milliseconds
		local permits, length = tonumber(sub(text, 1, 7)), tonumber(sub(text, 8)) * 1000
		if length < 1000 then error('malformed limit') end
		limit[i] = {text = text, permits = permits, length = length, cut = stamp_at(now_us - length), from = '-' .. permits}
		if length > limit.widest then
			limit.widest, limit.widest_at = length, i
		end
	end
	limit.future = stamp_at(now_us + limit.widest)
	limit.ttl = format('%.0f', limit.widest / 1000 + 1000)
	limits[encoded] = limit
	return limit
end

-- bisect returns the index of the first element younger than cut, and the element, where element dead is not younger and element alive (nil: not read yet) is.
local function bisect(list, dead, alive, element, cut)
	while alive - dead > 1 do
		local middle = floor((dead + alive) / 2)
		local stamp = call('LINDEX', list, middle)
		if stamp > cut then
			alive, element = middle, stamp
		else
			dead = middle
		end
	end
	return alive, element
end

-- live returns how many admissions window w still holds of the list (length elements, the newest live), at most its permits; the oldest of them; and its index.
-- It looks at the N-th newest first, then gallops towards the newest and bisects: at most 2 log2(N) reads.
local function live(list, length, w)
	if w.permits == 0 then return 0, now, length end
	local dead, oldest = 0, nil
	if length > w.permits then
		dead, oldest = length - w.permits, call('LINDEX', list, w.from)
	else
		oldest = call('LINDEX', list, '0')
	end
	if oldest > w.cut then return length - dead, oldest, dead end
	local alive, step = length - 1, 1
	oldest = nil
	while dead + step < alive do
		local stamp = call('LINDEX', list, dead + step)
		if stamp > w.cut then
			alive, oldest = dead + step, stamp
			break
		end
		dead, step = dead + step, step * 2
	end
	alive, oldest = bisect(list, dead, alive, oldest, w.cut)
	return length - alive, oldest or call('LINDEX', list, '-1'), alive
end

-- forget_future turns stamps ahead of now into now: the clock was put back by more than the widest window, and nobody shall wait until it has caught up.
-- It rewrites at most as many elements as a window has permits. It is the one thing that a refusal may write.
local function forget_future(list, length, ttl)
	local first = 0
	if call('LINDEX', list, '0') <= now then first = bisect(list, 0, length - 1, nil, now) end
	if first == 0 then
		call('DEL', list)
	else
		call('LTRIM', list, '0', first - 1)
	end
	local stamps = {}
	for i = 1, math.min(length - first, 1000) do stamps[i] = now end
	for missing = length - first, 1, -1000 do
		call('RPUSH', list, unpack(stamps, 1, math.min(missing, 1000)))
	end
	call('PEXPIRE', list, ttl)
end

-- What take found of each window; kept outside so that a batch makes no garbage.
local found_live, found_oldest, found_window, found_quota = {}, {}, {}, {}
local newest, dead = {}, {}

-- admit writes n admissions to the list of quota q, drops what is dead even in the widest window, and lets the list live as long as its newest admission counts.
local function admit(q, list, limit, n)
	local stamp, ttl = now, limit.ttl
	if newest[q] and newest[q] > now then -- the clock stepped back: never older than the predecessor
		stamp = newest[q]
		ttl = format('%.0f', 2 * limit.widest / 1000 + 1000)
	end
	if dead[q] > 0 then call('LTRIM', list, dead[q], '-1') end
	if n == 1 then
		call('RPUSH', list, stamp)
	else
		local stamps = {}
		for i = 1, n do stamps[i] = stamp end
		call('RPUSH', list, unpack(stamps))
	end
	call('PEXPIRE', list, ttl)
end

local function take(n, list1, limit1, list2, limit2)
	local windows, granted, list, limit = 0, n, list1, limit1
	for q = 1, list2 and 2 or 1 do
		if q == 2 then list, limit = list2, limit2 end
		if limit[1] then
			newest[q], dead[q] = call('LINDEX', list, '-1'), 0
			local length = newest[q] and call('LLEN', list) or 0
			if newest[q] and newest[q] > limit.future then
				forget_future(list, length, limit.ttl)
				newest[q] = now
			end
			for i = 1, #limit do
				local w, count, oldest, first = limit[i], 0, now, length
				if newest[q] and newest[q] > w.cut then count, oldest, first = live(list, length, w) end
				windows = windows + 1
				found_live[windows], found_oldest[windows], found_window[windows], found_quota[windows] = count, oldest, w, q
				if i == limit.widest_at then dead[q] = first end
				if w.permits - count < granted then granted = w.permits - count end
			end
		end
	end
	local closest, remaining, reset = 0, 0, nil
	for i = 1, windows do
		local w = found_window[i]
		local left = w.permits - found_live[i] - granted
		if closest == 0 or left < remaining then
			closest, remaining, reset = i, left, nil
		elseif left == remaining then -- a tie: the one that frees its next permit last
			reset = reset or found_oldest[closest] + found_window[closest].length
			local other = found_oldest[i] + w.length
			if other > reset then closest, reset = i, other end
		end
	end
	if granted > 0 then
		if limit1[1] then admit(1, list1, limit1, granted) end
		if list2 and limit2[1] then admit(2, list2, limit2, granted) end
	end
	return granted, found_quota[closest] or 0, found_window[closest], remaining, found_oldest[closest]
end
