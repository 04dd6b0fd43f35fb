-- Big strings and tables, recursion, coroutines, the garbage collector: what a heap has to bear.
local function check(name, got, wanted)
    print((got == wanted and "ok " or "not ok ") .. name .. (got == wanted and "" or ": " .. tostring(got)))
end

-- A string of 32 MiB by doubling, and pieces of it.
local s = "0123456789abcdef"
while #s < 32 * 1024 * 1024 do s = s .. s end
check("length of a big string", #s, 33554432)
check("its middle", s:sub(#s // 2 + 1, #s // 2 + 4), "0123")
check("its end", s:sub(-3), "def")
check("count of a pattern", select(2, s:sub(1, 1 << 20):gsub("9a", "")), 65536)
local r = s:sub(1, 1 << 20):reverse()
check("reversed", r:sub(1, 4) .. r:sub(-2), "fedc10")
s, r = nil, nil
collectgarbage()

-- Memory comes and goes: many rounds need no more than one.
local most = 0
for _ = 1, 20 do
    local t = {}
    for i = 1, 2000 do t[i] = string.rep(string.char(i % 26 + 97), 1000) end
    most = math.max(most, collectgarbage("count"))
    t = nil
    collectgarbage()
end
check("garbage is collected", most < 16 * 1024, true)
check("little is left", collectgarbage("count") < 2048, true)

-- A sieve in a table of a million.
local n, sieve, count = 1000000, {}, 0
for i = 2, n do sieve[i] = true end
for i = 2, math.floor(math.sqrt(n)) do
    if sieve[i] then for j = i * i, n, i do sieve[j] = false end end
end
for i = 2, n do if sieve[i] then count = count + 1 end end
check("primes below a million", count, 78498)
sieve = nil

-- Recursion: deep, wide, and without end.
local function depth(k) if k == 0 then return 0 end return 1 + depth(k - 1) end
check("150000 calls deep", depth(150000), 150000)
local function ackermann(m, k)
    if m == 0 then return k + 1 end
    if k == 0 then return ackermann(m - 1, 1) end
    return ackermann(m - 1, ackermann(m, k - 1))
end
check("ackermann(2, 60)", ackermann(2, 60), 123)
local function endless(x) return 1 + endless(x) end
local fine, why = pcall(endless, 1)
check("recursion without end is an error", not fine and why:find("stack overflow") ~= nil, true)

-- A thousand coroutines in turn.
local threads, sum = {}, 0
for i = 1, 1000 do
    threads[i] = coroutine.wrap(function() for k = 1, 100 do coroutine.yield(i * k) end end)
end
for _ = 1, 100 do for i = 1, 1000 do sum = sum + threads[i]() end end
check("coroutines", sum, 2527525000)

-- Sorting 200000 numbers of a generator of our own.
local x, list = 12345, {}
for i = 1, 200000 do x = (x * 1103515245 + 12345) % 2147483648; list[i] = x end
table.sort(list)
local sorted = true
for i = 2, #list do sorted = sorted and list[i - 1] <= list[i] end
check("sorted", sorted, true)
check("integer and float", 1 << 62, 4611686018427387904)
check("float's text", string.format("%.15g", 0.1 + 0.2), "0.3")
check("the smallest integer", math.mininteger // -1, math.mininteger)
