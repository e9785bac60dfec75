/ Tables of the history store: names, columns and their order as in engine/history/tables.py.
/ Every row begins with dataset, time (UTC, when it arrived), sym and seq (its number in its source).
/ Prices and money are longs in 1/10,000; text is a char vector; all else is long.

.hg.columns:()!()
.hg.columns[`event]:`ts_event`instrument`kind`side`venue`flags`payload0`payload1`payload2`payload3`payload4
.hg.columns[`trade]:`price`size`side`venue`flags
.hg.columns[`quote]:`bid`bid_size`ask`ask_size`venue`flags
.hg.columns[`bar]:`interval`open`high`low`close`volume`trades
.hg.columns[`order]:`order_id`side`price`size`filled`state`strategy
.hg.columns[`fill]:`order_id`match`side`price`size`fee`strategy
.hg.columns[`position]:`strategy`position`average_cost`realised`fees
.hg.columns[`risk]:`strategy`equity`unrealised`realised`gross
.hg.columns[`feed_health]:`messages`gaps`recovered`duplicates`stale_ns`crossed_ns`outliers`latency_p50`latency_p99`latency_max
.hg.columns[`news]:`source`headline`body
.hg.columns[`listing]:enlist`listed
.hg.columns[`corporate_action]:`code`numerator`denominator`amount

.hg.names:key .hg.columns
.hg.text:`source`headline`body

.hg.empty:{[t]
  c:.hg.columns t;
  key4:`dataset`time`sym`seq!(`symbol$();`timestamp$();`symbol$();`long$());
  flip key4,c!{$[x in .hg.text;();`long$()]} each c}
