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
local time = call('TIME')
now_us = time[1] * 1000000 + time[2]
now = struct.pack('>I8', now_us)
local n = #ARGV - 5
local values = call('MGET', unpack(KEYS, 1, 2 * n))
local answers = {unpack(KEYS, 1, 4 * n + 2)} -- as long as it will be: a table that grows is copied each time that it doubles
answers[1], answers[2] = ARGV[1], now

-- examine goes through what the usual key does not have, and returns the verdict if anything but the quota refuses this one. Else it returns nil, and the encoded limits of
-- the key's own and of its workspace's own, if they have any.
local function examine(name, record, settings, proof, usual_settings, now_us)
	if not settings then return 'L-\0\0' end
	local find, sub, current, suspended, shared = string.find, string.sub, '00000000', '0', '-'
	if find(settings, usual_settings, 1, true) ~= 1 then
		if sub(settings, 1, 17) ~= sub(usual_settings, 1, 17) then return sub(settings, 2, 17) == sub(usual_settings, 2, 17) and 'B-\0\0' or 'L-\0\0' end
		current, suspended, shared = struct.unpack('c8c1c1', settings, 18)
	end
	if not record then return redis.call('EXISTS', name) == 0 and 'U-\0\0' or 'B-\0\0' end -- deleted, or something else of that name
	local epoch, flag, expiry, own = struct.unpack('c8c1c15c1', record, 34)
	local rotated = sub(record, 97, 97) == '1'
	if find(record, proof, 1, true) ~= 1 then -- before the last rotation?
		if sub(record, 1, 1) ~= sub(proof, 1, 1) then return 'B-\0\0' end
		if not rotated or sub(record, 98, 129) ~= sub(proof, 2) then return 'U-\0\0' end
		local ends = sub(record, 130, 144)
		if not find(ends, '^%d+$') then return 'B-\0\0' end
		if ends <= string.format('%015d', now_us / 1000) then return 'U-\0\0' end
	end
	if epoch ~= current then return 'U-\0\0' end
	if flag ~= '0' then return flag == '1' and 'D-\0\0' or 'U-\0\0' end
	if expiry ~= '999999999999999' then
		if not find(expiry, '^%d+$') or expiry == '000000000000000' then return 'B-\0\0' end
		if expiry <= string.format('%015d', now_us / 1000) then return 'E-\0\0' end
	end
	if suspended ~= '0' then return 'S-\0\0' end
	local windows = rotated and 145 or 98
	return nil, own ~= '-' and own .. sub(record, windows, windows - 1 + 17 * own), shared ~= '-' and shared .. sub(settings, 58, 57 + 17 * shared)
end

local i = 1 -- the check that is being decided

-- decide decides all checks from the i-th on. It is given what it shall know of those before, too: quotas of workspaces by the name of their settings, and names of records seen.
local function decide(n, values, answers, shares, decided)
	local keys, argv, find, sub, pack, unpack_fields = KEYS, ARGV, string.find, string.sub, struct.pack, struct.unpack
	local usual_settings = '3' .. argv[2] .. '000000000-' -- first epoch, not suspended, no limit of its own
	local default_limit, default_shared, permits = limit_of(argv[3]), argv[4] ~= '' and limit_of(argv[4]), argv[5]
	local plain = usual_settings -- settings last found to begin so
	for this = i, n do
		i = this
		local name, record, settings, proof, at = keys[this], values[this], values[n + this], argv[5 + this], 4 * this - 1
		answers[at + 1], answers[at + 2], answers[at + 3] = '00000000000000000', '\0\0\0\0\0\0\0\0\0\0\0', proof
		local verdict, own, shared_own
		local limit, shared = default_limit, default_shared
		-- Three comparisons tell the usual key, which has first epoch, no flag, no expiry and no limit of its own either.
		if settings and settings ~= plain and find(settings, usual_settings, 1, true) == 1 then plain = settings end
		if not (record and settings == plain and find(record, proof, 1, true) == 1 and sub(record, 34, 58) == '000000000999999999999999-') then
			verdict, own, shared_own = examine(name, record, settings, proof, usual_settings, now_us)
			if own then limit = limit_of(own) end
			if shared_own then shared = limit_of(shared_own) end
			if shared and shared[1] and not default_shared then verdict = 'N-\0\0' end
		end
		if not verdict then
			local asked, share = 1, nil
			if permits ~= '' then
				asked = unpack_fields('>H', permits, 2 * this - 1)
				if decided[name] then record = call('GET', name) end
				decided[name] = true
			end
			if shared and shared[1] then
				local owner = keys[n + this]
				share = shares[owner] or {owner = owner, value = settings, at = 28, list = keys[3 * n + this], limit = shared}
				share.value, shares[owner] = share.value or call('GET', owner), share
			end
			local granted, quota, window, remaining, oldest = asked, 0, nil, nil, nil
			if limit[1] or share then granted, quota, window, remaining, oldest = take(asked, limit[1] and name, record, 67, keys[2 * n + this], limit, share) end
			if granted > 0 and unpack_fields('>I8', record, 59) < now_us - 30000000 then call('SETRANGE', name, '58', now) end
			verdict = 'AK\0\1'
			if granted ~= 1 or quota ~= 1 then verdict = (quota == 1 and 'AK' or quota == 2 and 'AW' or 'A-') .. pack('>H', granted) end
			if window then answers[at + 1], answers[at + 2] = window.text, pack('>I3I8', remaining, oldest) end
		end
		answers[at] = verdict
	end
end

-- One protected call decides all; an error, which is one check's alone and came before anything of it was written, ends that check only.
local shares, decided = {}, {}
while i <= n do
	local done, err = pcall(decide, n, values, answers, shares, decided)
	if done then break end
	local text, verdict = type(err) == 'table' and err.err or tostring(err), 'B-' -- Redis 7 has tables
	for _, reason in ipairs({'OOM', 'READONLY', 'NOREPLICAS', 'MISCONF'}) do
		if text:find(reason, 1, true) then verdict = 'R' .. reason:sub(1, 1) end
	end
	answers[4 * i - 1] = verdict .. '\0\0'
	i = i + 1
end
return table.concat(answers)
