-- What not every call needs of the window, for when a look or an APPEND of window.lua, which draws how admissions stand in Redis, is not enough.
--
-- unusual(now_us, now, after)  makes it, once for a call, given what window.lua has by these names. Returns a table of functions:
--                              open returns the ledger of a quota, admit enters admissions in one, take asks one or two ledgers for permits and returns what window.lua's take does.
local function unusual(now_us, now, after)
	local call, sub, format, floor, pack, unpack_fields = redis.call, string.sub, string.format, math.floor, struct.pack, struct.unpack

	-- open returns a quota's admissions as they stand, the ledger: base, widest and first of the header, head and tail, how many stamps the list has, length of all, newest, and from, the first that may count.
	local function open(owner, value, at, list, limit)
		local base, head, elements, widest, first = unpack_fields('>HBI3I4I8', value, at)
		if elements == 0 then head = 0 end
		local split = base + 8 * head
		if base < at + 18 or split > #value + 1 or (#value + 1 - base) % 8 ~= 0 then error('damaged admissions') end
		return {owner = owner, value = value, at = at, list = list, limit = limit, base = base, widest = widest, first = first, head = sub(value, base, split - 1), tail = sub(value, split),
			listed = 32 * elements, length = 32 * elements + (#value + 1 - base) / 8, newest = base <= #value and unpack_fields('>I8', value, #value - 7) or 0, from = 0, read = {}}
	end

	-- store writes a ledger. What is too much for the tail becomes the head, or moves to the list, which then lives for as long as the newest stamp counts.
	local function store(l)
		if #l.tail > 8 * 64 then
			local moved, elements, length, first = floor((#l.tail / 8 - 1) / 32), {}, nil, 1
			if l.listed == 0 then
				call('DEL', l.list)
				if l.head == '' then l.head, first = sub(l.tail, 1, 256), 2 end
			end
			for i = first, moved do
				elements[#elements + 1] = sub(l.tail, 256 * i - 255, 256 * i)
				if #elements == 1000 or i == moved then
					length, elements = call('RPUSH', l.list, unpack(elements)), {}
				end
			end
			if length then
				call('PEXPIRE', l.list, format('%d', (l.newest - now_us + l.limit.widest) / 1000 + 1000))
				l.listed = math.min(l.listed + 32 * (moved - first + 1), 32 * length) -- less if it was gone
			end
			l.tail = sub(l.tail, 256 * moved + 1)
		end
		local header = pack('>HBI3I4I8', l.base, #l.head / 8, l.listed / 32, l.widest, l.first)
		call('SET', l.owner, sub(l.value, 1, l.at - 1) .. header .. sub(l.value, l.at + 18, l.base - 1) .. l.head .. l.tail)
	end

	-- bury removes the first stamps, so many of them.
	local function bury(l, dead)
		local head = #l.head / 8
		if dead >= head + l.listed then
			if l.listed > 0 then call('DEL', l.list) end
			l.head, l.tail, l.listed = '', sub(l.tail, 1 + 8 * (dead - head - l.listed)), 0
		elseif dead < head then
			l.head = sub(l.head, 1 + 8 * dead)
		else -- what is left of the first element of which not all are dead is the head
			local elements = floor((dead - head) / 32)
			if elements > 0 then call('LTRIM', l.list, elements, '-1') end
			local bytes = call('LPOP', l.list)
			l.head = bytes and sub(bytes, 1 + 8 * ((dead - head) % 32)) or ''
			l.listed = bytes and l.listed - 32 * (elements + 1) or 0
		end
	end

	-- admit enters n admissions in a ledger of which those from index dead on count, the first of them being first.
	local function admit(l, n, dead, first)
		local ahead = l.newest > now_us -- the clock stepped back: never older than the predecessor
		local mark = ahead and l.newest or now_us
		local stamps = string.rep(pack('>I8', mark), n)
		local few = dead < 32 and dead < l.length and (l.listed == 0 or dead < #l.head / 8)
		if few and not ahead and 1000 * l.widest == l.limit.widest and l.from == 0 and #l.tail / 8 + n <= 64 then
			call('APPEND', l.owner, stamps)
		else
			bury(l, dead)
			l.tail, l.first, l.newest, l.widest = l.tail .. stamps, first, mark, ahead and 0 or l.limit.widest / 1000
			store(l)
		end
	end

	-- stamp returns the i-th stamp, from 0. Of a list that is gone each is 0.
	local function stamp(l, i)
		local bytes, head = l.head, #l.head / 8
		if i >= head + l.listed then
			bytes, i = l.tail, i - head - l.listed
		elseif i >= head then
			local element = floor((i - head) / 32)
			bytes, i = l.read[element], (i - head) % 32
			if not bytes then
				bytes = call('LINDEX', l.list, element) or ''
				l.read[element] = bytes
			end
			if bytes == '' then return 0 end
		end
		return (unpack_fields('>I8', bytes, 8 * i + 1))
	end

	-- bisect returns the index of the first stamp younger than cut, where that of index dead is not and that of index alive is.
	local function bisect(l, dead, alive, cut)
		while alive - dead > 1 do
			local middle = floor((dead + alive) / 2)
			if stamp(l, middle) > cut then
				alive = middle
			else
				dead = middle
			end
		end
		return alive
	end

	-- forget_future turns stamps ahead of now into now: the clock was put back by more than the widest window, and nobody shall wait until it has caught up.
	-- It rewrites at most as many stamps as a window has permits. It is the one thing that a refusal may write.
	local function forget_future(l)
		local before = l.head
		if l.listed > 0 then
			before = before .. table.concat(call('LRANGE', l.list, '0', '-1'))
			call('DEL', l.list)
		end
		local all = sub(before .. l.tail, 1 + 8 * l.from)
		local count = #all / 8
		local ahead = after(all, 1, 0, count, now_us)
		l.head, l.tail = '', sub(all, 1, 8 * ahead) .. string.rep(now, count - ahead)
		l.listed, l.widest, l.newest, l.first = 0, 0, now_us, unpack_fields('>I8', l.tail)
		store(l)
		l.from, l.read, l.length = 0, {}, (#l.head + #l.tail) / 8 + l.listed
	end

	-- settle finds the first stamp that may count.
	local function settle(l)
		if l.length == 0 then return end
		local forgotten = l.newest - 1000 * l.widest
		if l.widest > 0 and forgotten > now_us - l.limit.widest and l.first <= forgotten then l.from = bisect(l, 0, l.length - 1, forgotten) end
		if l.newest - now_us > l.limit.widest then forget_future(l) end
	end

	-- live returns how many admissions window w still holds, at most its permits; the oldest of them; and its index.
	-- It looks at the N-th newest first, then gallops towards the newest and bisects: at most 2 log2(N) reads.
	local function live(l, w)
		local length = l.length
		local dead = math.max(l.from, length - w.permits)
		if dead == length or l.newest <= w.cut then return 0, now_us, length end
		local oldest = stamp(l, dead)
		if oldest > w.cut then return length - dead, oldest, dead end
		local step = 1
		while dead + step < length - 1 and stamp(l, dead + step) <= w.cut do
			dead, step = dead + step, step * 2
		end
		local alive = bisect(l, dead, math.min(dead + step, length - 1), w.cut)
		return length - alive, stamp(l, alive), alive
	end

	local function take(n, ledger1, ledger2)
		local granted, dead, firsts, closest = n, {}, {}, nil
		for quota = 1, 2 do
			local l = quota == 1 and ledger1 or quota == 2 and ledger2
			if l then settle(l) end
			for i = 1, l and #l.limit or 0 do
				local w = l.limit[i]
				local count, oldest, first = live(l, w)
				local left = w.permits - count
				if i == l.limit.widest_at then dead[quota], firsts[quota] = first, oldest end
				if left < granted then granted = left end
				if not closest or left < closest.left or left == closest.left and oldest + w.length > closest.oldest + closest.window.length then
					closest = {quota = quota, window = w, left = left, oldest = oldest} -- of a tie: the one that frees its next permit last
				end
			end
		end
		if granted > 0 and ledger1 then admit(ledger1, granted, dead[1], firsts[1]) end
		if granted > 0 and ledger2 then admit(ledger2, granted, dead[2], firsts[2]) end
		return granted, closest.quota, closest.window, closest.left - granted, closest.oldest
	end

	return {open = open, admit = admit, take = take}
end
