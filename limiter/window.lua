-- The exact sliding window of memory.go over a Redis list, as functions for a script that is put together with this text in front (limiter.Script).
--
-- A list holds admission times, oldest first, each 16 digits of microseconds since 1970, so that they compare as strings. One list serves all windows of a limit.
-- An admission is live in a window if it is younger than its length. The N-th newest is dead, or there is none <=> one more is admitted.
--
-- now, now_us, period          the one time of this call, as 16 digits and as a number, and the beginning of its ten seconds as 16 digits; the script sets them before anything else
-- limit_of(encoded)            the parsed form of a limit as limiter.Limit.Encode writes it; raises an error if it is malformed
-- take(n, list, limit [, list, limit])
--                              asks all windows of all quotas for n permits and takes as many as all have, from all. A refusal leaves nothing behind.
--                              Returns granted, the index of the quota whose window is closest to its end (0: no limit applies), that window,
--                              its remaining permits, and its oldest live admission (16 digits; now if it has none).
--
-- Each function here costs every call 2,000 instructions to make, and each "%.0f" 6,000: there are few, and numbers are written with "%d".
local call, try, sub, format, floor = redis.call, redis.pcall, string.sub, string.format, math.floor
local now, now_us, period
local limits = {}

local function limit_of(encoded)
	local limit = limits[encoded]
	if limit then return limit end
	local count = tonumber(sub(encoded, 1, 1))
	if not count or count > 3 or #encoded ~= 1 + 17 * count or string.find(encoded, '%D') then error('malformed limit') end
	limit = {widest = 0, widest_at = 0}
	for i = 1, count do
		local text = sub(encoded, 17 * i - 15, 17 * i + 1) -- seven digits of permits, ten of milliseconds
		local permits, length = tonumber(sub(text, 1, 7)), sub(text, 8) * 1000
		if length < 1000 then error('malformed limit') end
		limit[i] = {text = text, permits = permits, length = length, cut = format('%016d', now_us - length)}
		if length > limit.widest then
			limit.widest, limit.widest_at = length, i
		end
	end
	limits[encoded] = limit
	return limit
end

-- bisect returns the index of the first element younger than cut, and the element, where element dead is not younger and element alive (nil: not read yet) is, or is beyond the end.
local function bisect(list, dead, alive, element, cut)
	while alive - dead > 1 do
		local middle = floor((dead + alive) / 2)
		local stamp = call('LINDEX', list, middle)
		if not stamp or stamp > cut then
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
		dead, oldest = length - w.permits, call('LINDEX', list, '-' .. w.permits)
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
local function forget_future(list, length, widest)
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
	call('PEXPIRE', list, format('%d', 2 * widest / 1000 + 15000))
end

-- admit writes n admissions to a list whose newest element is given (false: none counts any more) and whose first elements, as many as dead says, count in no window any more.
-- The list lives as long as its newest admission counts, which may be the widest window's length ahead of now. Its TTL is looked after once in ten seconds, with more than those to spare: to write
-- it each time costs a tenth of the decision. (Who changes a limit lengthens the TTL with it: update.lua, settings.lua.)
local function admit(list, limit, n, newest, dead)
	local stamp, least = now, limit.widest / 1000 + 12000
	if newest and newest > now then -- the clock stepped back: never older than the predecessor
		stamp, least = newest, least + limit.widest / 1000
	end
	if dead > 0 then call('LTRIM', list, dead, '-1') end
	if n == 1 then
		call('RPUSH', list, stamp)
	else
		local stamps = {}
		for i = 1, n do stamps[i] = stamp end
		call('RPUSH', list, unpack(stamps))
	end
	if (not newest or newest < period) and call('PTTL', list) < least then call('PEXPIRE', list, format('%d', 2 * limit.widest / 1000 + 15000)) end
end

-- first_alive returns the index of the first element younger than cut, and the element, of a list whose first is not and whose newest is.
local function first_alive(list, cut)
	local dead, step = 0, 1
	while true do
		local stamp = call('LINDEX', list, dead + step)
		if not stamp or stamp > cut then return bisect(list, dead, dead + step, stamp, cut) end
		dead, step = dead + step, step * 2
	end
end

-- take_one is take for the usual case of one quota with one window; a script may call it itself.
local function take_one(n, list, limit)
	local w, dead, live, oldest = limit[1], 0, 0, now
	local newest = call('LINDEX', list, '-1')
	if newest and newest > now and newest - now_us > w.length then
		forget_future(list, call('LLEN', list), w.length)
		newest = now
	end
	if newest and newest <= w.cut then
		if w.permits > 0 then call('DEL', list) end
		newest = false
	end
	if newest then
		oldest = call('LINDEX', list, '0')
		if oldest <= w.cut then dead, oldest = first_alive(list, w.cut) end
		if n == 1 and newest <= now and newest >= period then -- in use, so its TTL was looked after. To append tells the length, which spares the call that asks
			local length = try('RPUSH', list, now)
			if type(length) == 'number' then
				if length - dead <= w.permits then
					if dead > 0 then call('LTRIM', list, dead, '-1') end
					return 1, 1, w, w.permits - length + dead, oldest
				end
				call('RPOP', list)
			end
		end
		live = call('LLEN', list) - dead
		if live > w.permits then -- there were more before
			live, oldest = w.permits, w.permits > 0 and call('LINDEX', list, '-' .. w.permits) or now
		end
	end
	local left = w.permits - live
	if n > left then n = left end
	if n > 0 then admit(list, limit, n, newest, dead) end
	return n, 1, w, left - n, oldest
end

local function take(n, list1, limit1, list2, limit2)
	local windows, granted, list, limit = {}, n, list1, limit1
	local newest, dead = {}, {}
	for q = 1, list2 and 2 or 1 do
		if q == 2 then list, limit = list2, limit2 end
		newest[q], dead[q] = limit[1] and call('LINDEX', list, '-1'), 0
		local length = newest[q] and call('LLEN', list) or 0
		if newest[q] and newest[q] > now and newest[q] - now_us > limit.widest then
			forget_future(list, length, limit.widest)
			newest[q] = now
		end
		for i = 1, #limit do
			local w, count, oldest, first = limit[i], 0, now, length
			if newest[q] and newest[q] > w.cut then count, oldest, first = live(list, length, w) end
			windows[#windows + 1] = {quota = q, window = w, left = w.permits - count, oldest = oldest}
			if i == limit.widest_at then dead[q] = first end
			if w.permits - count < granted then granted = w.permits - count end
		end
		if dead[q] == length then newest[q] = false end
	end
	local closest
	for i = 1, #windows do
		local other = windows[i]
		if not closest or other.left < closest.left then
			closest = other
		elseif other.left == closest.left and other.oldest + other.window.length > closest.oldest + closest.window.length then
			closest = other -- a tie: the one that frees its next permit last
		end
	end
	if granted > 0 then
		if limit1[1] then admit(list1, limit1, granted, newest[1], dead[1]) end
		if list2 and limit2[1] then admit(list2, limit2, granted, newest[2], dead[2]) end
	end
	if not closest then return granted, 0 end
	return granted, closest.quota, closest.window, closest.left - granted, closest.oldest
end
