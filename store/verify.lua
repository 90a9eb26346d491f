-- Decides a batch of checks, each in one atomic step. window.lua stands in front.
--
-- KEYS   n records, then n workspace settings, then n admission lists of the keys, then, if ARGV 4 says so, n admission lists of the workspaces; all of one slot on a Cluster
-- ARGV   1 nonce, 2 the store's id, 3 default limit of keys (encoded), 4 default limit of workspaces (encoded), or "" without their lists,
--        5 permits asked for: "" one for each check, else n numbers of 2 bytes, then n digests of 32 bytes
-- Return one string: the nonce, the time (16 digits of microseconds), then for each check 72 bytes:
--
--        verdict 1 | scope 1 | granted 2 | window 17 (permits 7, milliseconds 10) | remaining 3 | oldest live admission 16 | digest 32
--
--        verdict: A decided by the quota (granted of the permits asked for; 0 is a refusal), U unknown, D disabled, E expired, S suspended, L data lost, B record broken,
--                 N nothing: the workspace has a limit of its own, so its list is needed; R Redis refuses to write, with the first letter of its reason as scope
--        scope:   K the key's quota, W the workspace's, - no limit applies (and with every verdict but A)
--        granted and remaining are big-endian numbers, window and oldest are digits
--
-- Records and settings are laid out as record.go draws them. Times in them are 15 digits of milliseconds. A refusal writes nothing; an admission writes the lists,
-- and the time of last use when that is older than 30 s.
local time = redis.call('TIME')
now, period = time[1] .. sub('00000' .. time[2], -6), sub(time[1], 1, 9) .. '0000000'
now_us = tonumber(now)
local now_ms = '00' .. sub(now, 1, 13)
local stale_ms = format('%015d', now_us / 1000 - 30000)
local keys, argv, unpack_fields, char, find = KEYS, ARGV, struct.unpack, string.char, string.find
local n = #argv - 5
local values = call('MGET', unpack(keys, 1, 2 * n))
local head = '1' .. argv[2]
local default_limit, default_shared, permits = limit_of(argv[3]), argv[4] ~= '' and limit_of(argv[4]), argv[5]
local answers, at = {argv[1], now}, 2

-- answer appends an answer without a window, all but the digest.
local function answer(decided)
	answers[at + 1] = decided .. (#decided == 2 and '\0\0' or '') .. '00000000000000000\0\0\0000000000000000000'
	at = at + 1
end

-- refusal goes through everything but the quota that can refuse a key, and returns the verdict; nil if nothing does. workspace is epoch, flag and first byte of the limit; state
-- the same of the key with its expiry.
local function refusal(record, digest, held, workspace, state)
	if held ~= digest then -- before the last rotation?
		local version = 74 + 17 * (tonumber(sub(record, 73, 73)) or 0)
		if sub(record, version + 12, version + 12) ~= '1' or sub(record, version + 13, version + 44) ~= digest then return 'U-' end
		local ends = sub(record, version + 45, version + 59)
		if not find(ends, '^%d+$') then return 'B-' end
		if ends <= now_ms then return 'U-' end
	end
	if sub(state, 1, 8) ~= sub(workspace, 1, 8) then return 'U-' end
	local flag = sub(state, 9, 9)
	if flag ~= '0' then return flag == '1' and 'D-' or 'U-' end
	local expiry = sub(state, 10, 24)
	if not find(expiry, '^%d+$') or expiry == '000000000000000' then return 'B-' end
	if expiry <= now_ms then return 'E-' end
	if sub(workspace, 9, 9) ~= '0' then return 'S-' end
end

local function check(i)
	local record, settings, digest = values[i], values[n + i], argv[5 + i]
	if not settings then return answer('L-') end
	local store, workspace = unpack_fields('c17c10', settings)
	if store ~= head then return answer('L-') end
	if not record then return answer(call('EXISTS', keys[i]) == 0 and 'U-' or 'B-') end -- deleted, or something else of that name
	local layout, held, used, state = unpack_fields('c1c32c15c25', record)
	if layout ~= '1' then return answer('B-') end
	local limit, shared, asked = default_limit, default_shared, 1
	-- The usual key is told by two comparisons: first epoch, no flag, never expires, no limit of its own; nor has its workspace.
	if held ~= digest or workspace ~= '000000000-' or state ~= '000000000999999999999999-' then
		local verdict = refusal(record, digest, held, workspace, state)
		if verdict then return answer(verdict) end
		local own, workspace_own = sub(state, 25), sub(workspace, 10)
		if own ~= '-' then limit = limit_of(sub(record, 73, 73 + 17 * own)) end
		if workspace_own ~= '-' then
			shared = limit_of(sub(settings, 27, 27 + 17 * workspace_own))
			if shared[1] and not default_shared then return answer('N-') end
		end
	end
	if permits ~= '' then asked = unpack_fields('>H', permits, 2 * i - 1) end
	local granted, quota, window, remaining, oldest
	if limit[1] and not limit[2] and not (shared and shared[1]) then
		granted, quota, window, remaining, oldest = take_one(asked, keys[2 * n + i], limit)
	else
		granted, quota, window, remaining, oldest = take(asked, keys[2 * n + i], limit, shared and shared[1] and keys[3 * n + i], shared)
	end
	if granted > 0 and used < stale_ms then call('SETRANGE', keys[i], '33', now_ms) end
	local decided = 'AK\0\1'
	if granted ~= 1 or quota ~= 1 then decided = (quota == 1 and 'AK' or quota == 2 and 'AW' or 'A-') .. char(granted / 256, granted % 256) end
	if quota == 0 then return answer(decided) end
	answers[at + 1], answers[at + 2], answers[at + 3], answers[at + 4] = decided, window.text, char(remaining / 65536, remaining / 256 % 256, remaining % 256), oldest
	at = at + 4
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
