-- Decides a batch of checks, each in one atomic step. window.lua stands in front.
--
-- KEYS   n records, then n workspace settings, then n admission lists of the keys, then, if ARGV 4 says so, n admission lists of the workspaces; all of one slot on a Cluster
-- ARGV   1 nonce, 2 the store's id, 3 default limit of keys (encoded), 4 default limit of workspaces (encoded), or "" without their lists,
--        5 permits asked for: "" one for each check, and no record stands here twice; else n numbers of 2 bytes, then n proofs of 33 bytes: layout and digest, as the record begins
-- Return one string: the nonce, the time in 8 bytes (microseconds), then for each check 65 bytes:
--
--        verdict 1 | scope 1 | granted 2 | window 17 (permits 7, milliseconds 10) | remaining 3 | oldest live admission 8 | proof 33
--
--        verdict: A decided by the quota (granted of the permits asked for; 0 is a refusal), U unknown, D disabled, E expired, S suspended, L data lost, B record broken,
--                 N nothing: the workspace has a limit of its own, so its list is needed; R Redis refuses to write, with the first letter of its reason as scope
--        scope:   K the key's quota, W the workspace's, - no limit applies (and with every verdict but A)
--        granted, remaining and oldest are big-endian numbers, window is digits
--
-- Records and settings are laid out as record.go draws them. A refusal writes nothing; an admission writes its stamp,
-- and the time of last use when that is older than 30 s.
local time = redis.call('TIME')
now_us = time[1] * 1000000 + time[2]
now = pack('>I8', now_us)
local now_ms, stale = format('%015d', now_us / 1000), now_us - 30000000
local keys, argv, char, find = KEYS, ARGV, string.char, string.find
local n = #argv - 5
local values = call('MGET', unpack(keys, 1, 2 * n))
local head = '2' .. argv[2] -- of settings
local default_limit, default_shared, permits = limit_of(argv[3]), argv[4] ~= '' and limit_of(argv[4]), argv[5]
local answers, at = {argv[1], now}, 2
local new, seen = {epoch = '00000000', flag = '0', own = '-'}, {} -- a new workspace, and those of this call by their settings
local shares = {}  -- quotas of workspaces, by the name of their settings
local decided = {} -- records seen in this call

-- answer appends an answer without a window, all but the proof.
local function answer(verdict)
	answers[at + 1] = verdict .. (#verdict == 2 and '\0\0' or '') .. '00000000000000000\0\0\0\0\0\0\0\0\0\0\0'
	at = at + 1
end

-- refusal goes through everything but the quota that can refuse a key, and returns the verdict; nil if nothing does. held is the proof that the record would pass; epoch, flag and expiry are the record's.
local function refusal(record, proof, held, epoch, flag, expiry, workspace)
	if held ~= proof then -- before the last rotation?
		if sub(held, 1, 1) ~= sub(proof, 1, 1) then return 'B-' end
		if sub(record, 97, 97) ~= '1' or sub(record, 98, 129) ~= sub(proof, 2) then return 'U-' end
		local ends = sub(record, 130, 144)
		if not find(ends, '^%d+$') then return 'B-' end
		if ends <= now_ms then return 'U-' end
	end
	if epoch ~= workspace.epoch then return 'U-' end
	if flag ~= '0' then return flag == '1' and 'D-' or 'U-' end
	if not find(expiry, '^%d+$') or expiry == '000000000000000' then return 'B-' end
	if expiry <= now_ms then return 'E-' end
	if workspace.flag ~= '0' then return 'S-' end
end

-- own_limit returns the limit that begins with this byte and goes on at a place.
local function own_limit(first, text, from)
	return limit_of(first .. sub(text, from, from - 1 + 17 * (tonumber(first) or 0)))
end

local function check(i)
	local name, record, settings, proof = keys[i], values[i], values[n + i], argv[5 + i]
	if not settings then return answer('L-') end
	local workspace = seen[settings]
	if not workspace then
		if sub(settings, 1, 17) ~= head then return answer(sub(settings, 2, 17) == argv[2] and 'B-' or 'L-') end
		workspace = new
		if sub(settings, 18, 27) ~= '000000000-' then
			local epoch, flag, first = unpack_fields('c8c1c1', settings, 18)
			workspace = {epoch = epoch, flag = flag, own = first}
		end
		seen[settings] = workspace
	end
	if not record then return answer(call('EXISTS', name) == 0 and 'U-' or 'B-') end -- deleted, or something else of that name
	local held, state, used = unpack_fields('>c33c25I8', record)
	local limit, shared, asked = default_limit, default_shared, 1
	-- The usual key is told by two comparisons: first epoch, no flag, never expires, no limit of its own; nor has its workspace.
	if workspace ~= new or held ~= proof or state ~= '000000000999999999999999-' then
		local epoch, flag, expiry, own = unpack_fields('c8c1c15c1', state)
		local verdict = refusal(record, proof, held, epoch, flag, expiry, workspace)
		if verdict then return answer(verdict) end
		if own ~= '-' then limit = own_limit(own, record, sub(record, 97, 97) == '1' and 145 or 98) end
		if workspace.own ~= '-' then
			shared = own_limit(workspace.own, settings, 58)
			if shared[1] and not default_shared then return answer('N-') end
		end
	end
	if permits ~= '' then
		asked = unpack_fields('>H', permits, 2 * i - 1)
		if decided[name] then record = call('GET', name) end
		decided[name] = true
	end
	local share
	if shared and shared[1] then
		local owner = keys[n + i]
		share = shares[owner] or {owner = owner, value = settings, at = 28, list = keys[3 * n + i], limit = shared}
		share.value, shares[owner] = share.value or call('GET', owner), share
	end
	local granted, quota, window, remaining, oldest = asked, 0
	if limit[1] or share then granted, quota, window, remaining, oldest = take(asked, limit[1] and name, record, 67, keys[2 * n + i], limit, share) end
	if granted > 0 and used < stale then call('SETRANGE', name, '58', now) end
	local verdict = 'AK\0\1'
	if granted ~= 1 or quota ~= 1 then verdict = (quota == 1 and 'AK' or quota == 2 and 'AW' or 'A-') .. char(granted / 256, granted % 256) end
	if quota == 0 then return answer(verdict) end
	answers[at + 1], answers[at + 2], answers[at + 3] = verdict, window.text, pack('>I3I8', remaining, oldest)
	at = at + 3
end

-- One protected call decides all; an error, which is one check's alone and came before anything of it was written, ends that check only.
local i = 1
local function decide()
	while i <= n do
		check(i)
		at = at + 1
		answers[at] = argv[5 + i]
		i = i + 1
	end
end
while true do
	local done, err = pcall(decide)
	if done then break end
	local text, verdict = type(err) == 'table' and err.err or tostring(err), 'B-' -- Redis 7 has tables
	for _, reason in ipairs({'OOM', 'READONLY', 'NOREPLICAS', 'MISCONF'}) do
		if find(text, reason, 1, true) then verdict = 'R' .. sub(reason, 1, 1) end
	end
	answer(verdict)
	at = at + 1
	answers[at] = argv[5 + i]
	i = i + 1
end
return table.concat(answers)
