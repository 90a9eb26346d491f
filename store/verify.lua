-- Decides a batch of checks, each in one atomic step. window.lua stands in front.
--
-- KEYS   n records, then n workspace settings, then n admission lists of the keys, then n admission lists of the workspaces; all of one slot on a Cluster
-- ARGV   1 nonce, 2 the store's id, 3 and 4 the default limits of keys and workspaces (encoded), then n digests of 32 bytes, then n numbers of permits asked for
-- Return one string: the nonce, the time (16 digits of microseconds), then for each check 78 characters:
--
--        verdict 1 | scope 1 | granted 4 | window 17 (permits 7, milliseconds 10) | remaining 7 | oldest live admission 16 | digest 32
--
--        verdict: A decided by the quota (granted of the permits asked for; 0 is a refusal), U unknown, D disabled, E expired, S suspended, L data lost, B record broken
--        scope:   K the key's quota, W the workspace's, - no limit applies (and with every verdict but A)
--
-- A record (record.go) is one string: layout '1', digest 32, previous digest 32, its end 15, expiry 15, epoch 8, last used 15, disabled 1, limit 52, version 12, JSON.
-- Settings are one string:            layout '1', the store's id 16, epoch 8, suspended 1, limit 52, version 12, JSON.
-- Times in them are 15 digits of milliseconds. A refusal writes nothing; an admission writes the lists, and the time of last use when that is older than 30 s.
local time = redis.call('TIME')
clock(time[1] .. sub('00000' .. time[2], -6))
local now_ms = '00' .. sub(now, 1, 13)
local stale_ms = format('%015.0f', floor(now_us / 1000) - 30000)
local n = #KEYS / 4
local values = call('MGET', unpack(KEYS, 1, 2 * n))
local head = '1' .. ARGV[2]
local nothing = '-' .. string.rep('0', 44)

local function check(i)
	local record, settings, digest = values[i], values[n + i], ARGV[4 + i]
	if not settings or sub(settings, 1, 17) ~= head then return 'L' end
	if not record then return call('EXISTS', KEYS[i]) == 0 and 'U' or 'B' end
	if #record < 183 or sub(record, 1, 1) ~= '1' or string.find(sub(record, 66, 119), '%D') then return 'B' end
	if sub(record, 2, 33) ~= digest and (sub(record, 34, 65) ~= digest or sub(record, 66, 80) <= now_ms) then return 'U' end
	if sub(record, 96, 103) ~= sub(settings, 18, 25) then return 'U' end
	if sub(record, 119, 119) ~= '0' then return 'D' end
	if sub(record, 81, 95) <= now_ms then return 'E' end
	if sub(settings, 26, 26) ~= '0' then return 'S' end

	local key_limit, workspace_limit = sub(record, 120, 171), sub(settings, 27, 78)
	if sub(key_limit, 1, 1) == '-' then key_limit = ARGV[3] end
	if sub(workspace_limit, 1, 1) == '-' then workspace_limit = ARGV[4] end
	local shared = sub(workspace_limit, 1, 1) ~= '0' and KEYS[3 * n + i] or nil
	local asked = tonumber(ARGV[4 + n + i])
	local granted, quota, window, remaining, oldest = take(asked, KEYS[2 * n + i], limit_of(key_limit), shared, shared and limit_of(workspace_limit))
	if granted > 0 and sub(record, 104, 118) < stale_ms then call('SETRANGE', KEYS[i], '103', now_ms) end
	if quota == 0 then return format('A-%04d%s', granted, sub(nothing, 6)) end
	return format('A%s%04d%s%07d%s', quota == 1 and 'K' or 'W', granted, window.text, remaining, oldest)
end

local answers = {ARGV[1], now}
for i = 1, n do
	local fine, answer = pcall(check, i)
	if not fine then answer = 'B' end
	answers[#answers + 1] = answer
	if #answer == 1 then answers[#answers + 1] = nothing end
	answers[#answers + 1] = ARGV[4 + i]
end
return table.concat(answers)
