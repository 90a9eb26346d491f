-- The exact sliding window of memory.go in Redis, as functions for a script that is put together with ledger.lua and this text in front (limiter.Script).
--
-- A quota's admissions are stamps of 8 bytes: microseconds since 1970, big-endian, oldest first. They serve all windows of its limit. The newest, 1 to 64 ("the tail"), stand at the end of its owner,
-- the string that has what else a decision needs, so that the usual check reads all of it with one MGET and admits with one APPEND. When there are more, the oldest, 1 to 32 ("the head"), stand before
-- the tail, so that the usual check sees those that end, too; the others are in a list, 32 to an element. Without a list, head and tail are one.
-- The owner has a header of 18 bytes, of big-endian numbers:
--
--        where the head begins 2 | stamps of the head 1 | elements of the list 3 | widest 4 | the oldest stamp 8
--
--        widest is the longest window, in ms, of the limit under which the newest stamp was admitted: what is older than the newest
--        by that does not count, in whatever longer window it is asked for later; 0 if all that stands there counts.
-- Stamps that count no more stay until the owner is written anew. The list lives for as long as its newest stamp counts.
--
-- now_us, now                  the one time of this call, in microseconds and as a stamp; the script sets them before anything else
-- limit_of(encoded)            the parsed form of a limit as limiter.Limit.Encode writes it; raises an error if it is malformed
-- take(n, owner, value, at, list, limit, quota2)
--                              asks one or two quotas for n permits, and takes from all their windows as many as all have. owner (nil: no first quota) and list are names, value is the owner's, and its header stands
--                              at at. quota2 is nil or a table of the same by these names; taking makes its value nil, as it is another one then. A refusal leaves nothing behind. Damaged admissions raise an error.
--                              Returns granted, the number of the quota whose window is closest to its end, that window, its remaining permits,
--                              and its oldest live admission (in microseconds; now_us if it has none).
-- A function costs every call that makes it 600 instructions, and 300 for each local that it uses of those outside: there are few of both, and what is rare looks names up where it needs them.
local call, unpack_fields = redis.call, struct.unpack
local now_us, now
local limits = {}

local function limit_of(encoded)
	local limit = limits[encoded]
	if limit then return limit end
	local sub = string.sub
	local count = sub(encoded, 1, 1) + 0 -- arithmetic reads digits in half the time of tonumber
	if count > 3 or #encoded ~= 1 + 17 * count or string.find(encoded, '%D') then error('malformed limit') end
	limit = {nil, widest = 0, widest_at = 0} -- with room for a window
	for i = 1, count do
		local text = sub(encoded, 17 * i - 15, 17 * i + 1) -- seven digits of permits, ten of milliseconds
		local length = sub(text, 8) * 1000
		if length < 1000 then error('malformed limit') end
		limit[i] = {text = text, permits = sub(text, 1, 7) + 0, length = length, cut = now_us - length}
		if length > limit.widest then
			limit.widest, limit.widest_at = length, i
		end
	end
	limits[encoded] = limit
	return limit
end

-- after returns the index of the first stamp younger than cut, of those with index low to high - 1 in bytes, where that with index 0 stands at from; high if none is.
local function after(bytes, from, low, high, cut)
	local unpack_fields = struct.unpack
	while low < high do
		local middle = (low + high - (low + high) % 2) / 2 -- a call of floor costs twice as much
		if unpack_fields('>I8', bytes, from + 8 * middle) > cut then
			high = middle
		else
			low = middle + 1
		end
	end
	return low
end

-- look is the usual look at a quota of one window, without its list. It returns the permits left, the oldest live admission, how many more an APPEND may enter, and how many
-- stamps are dead; nil if that is not enough, as when the limit was lowered, the clock stepped back or all of the head has died.
local function look(value, at, limit)
	if limit[2] then return end
	local w, size = limit[1], #value
	local base, head, elements, widest, oldest = unpack_fields('>HBI3I4I8', value, at)
	local held = (size - base + 1) / 8
	local room = 64 + head - held
	if held < head or room < 0 or held % 1 > 0 or base < at + 18 then return end
	local newest = held > 0 and unpack_fields('>I8', value, size - 7) or 0
	if newest <= w.cut then return w.permits, now_us, 0, held + 32 * elements end
	if newest > now_us or 1000 * widest ~= w.length then return end
	local left, dead = w.permits - held - 32 * elements, 0
	if oldest <= w.cut then
		if elements == 0 then head = held end
		dead = after(value, base, 0, head, w.cut)
		if dead == head then return end
		if dead > 31 then room = 0 end
		left, oldest = left + dead, unpack_fields('>I8', value, base + 8 * dead)
	end
	if left < 0 then return end
	return left, oldest, room, dead
end

local rare -- what unusual has made

local function take(n, owner, value, at, list, limit, quota2)
	local left1, oldest1, room1, dead1, left2, oldest2, room2, dead2
	if owner then left1, oldest1, room1, dead1 = look(value, at, limit) end
	if left1 and not quota2 and n == 1 and left1 > 0 and room1 > 0 then -- the usual case, which the rest would decide alike
		call('APPEND', owner, now)
		return 1, 1, limit[1], left1 - 1, oldest1
	end
	if quota2 then left2, oldest2, room2, dead2 = look(quota2.value, quota2.at, quota2.limit) end
	local enough = (left1 or not owner) and (left2 or not quota2)
	if left1 and left1 < n then n = left1 end
	if left2 and left2 < n then n = left2 end
	if not enough or left1 and n > room1 or left2 and n > room2 then
		rare = rare or unusual(now_us, now, after)
		local ledger1 = owner and rare.open(owner, value, at, list, limit)
		local ledger2 = quota2 and rare.open(quota2.owner, quota2.value, quota2.at, quota2.list, quota2.limit)
		if quota2 then quota2.value = nil end
		if not enough then return rare.take(n, ledger1, ledger2) end
		if ledger1 then rare.admit(ledger1, n, dead1, oldest1) end
		if ledger2 then rare.admit(ledger2, n, dead2, oldest2) end
	elseif n > 0 then
		local stamps = n == 1 and now or string.rep(now, n)
		if left1 then call('APPEND', owner, stamps) end
		if left2 then
			call('APPEND', quota2.owner, stamps)
			quota2.value = nil
		end
	end
	if not left1 or left2 and (left2 < left1 or left2 == left1 and oldest2 + quota2.limit.widest > oldest1 + limit.widest) then
		return n, 2, quota2.limit[1], left2 - n, oldest2
	end
	return n, 1, limit[1], left1 - n, oldest1
end
